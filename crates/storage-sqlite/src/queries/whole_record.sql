-- A row as it is, with its own hash, before it is replaced.
SELECT r.document, r.chunk, r.source_id, r.locator_sheet, r.locator_row, r.locator_page, r.locator_start,
    r.locator_end, r.category, r.subcategory, r.title, r.body, r.metadata, r.record_hash
FROM embedding_records AS r
WHERE r.record_id = ?1
