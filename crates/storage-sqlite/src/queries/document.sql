SELECT r.document, r.chunk, r.source_id, r.locator_sheet, r.locator_row, r.locator_page, r.locator_start,
    r.locator_end, r.category, r.subcategory, r.title, r.body, r.metadata
FROM embedding_records AS r
WHERE r.collection_id = ?1 AND r.document = ?2 AND r.chunk = ?3
