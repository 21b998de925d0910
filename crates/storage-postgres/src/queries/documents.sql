SELECT r.document, r.chunk, r.source_id, r.locator_sheet, r.locator_row, r.locator_page, r.locator_start,
    r.locator_end, r.category, r.subcategory, r.title, r.body, r.metadata::text
FROM unnest($2::text[], $3::bigint[]) AS k (document, chunk)
JOIN embedding_records AS r
    ON r.collection_id = $1 AND r.document = k.document COLLATE "C" AND r.chunk = k.chunk
