-- Rows as they are, with their own hash, before they are replaced.
SELECT r.document, r.chunk, r.source_id, r.locator_sheet, r.locator_row, r.locator_page, r.locator_start,
    r.locator_end, r.category, r.subcategory, r.title, r.body, r.metadata::text, r.record_hash, r.record_id
FROM embedding_records AS r
WHERE r.record_id = ANY ($1)
