SELECT r.document, r.chunk, r.source_id, r.locator_sheet, r.locator_row, r.locator_page, r.locator_start,
    r.locator_end, r.category, r.subcategory, r.title, r.body, r.metadata::text,
    r.record_id, r.run_id, r.created_at, r.updated_at
FROM embedding_records AS r
WHERE r.collection_id = $1 AND r.record_hash IS NULL AND r.record_id > $2
ORDER BY r.record_id
LIMIT $3
