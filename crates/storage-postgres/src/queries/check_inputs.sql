-- Rows with the hash of their text in a version that is not served.
SELECT r.document, r.chunk, r.source_id, r.locator_sheet, r.locator_row, r.locator_page, r.locator_start,
    r.locator_end, r.category, r.subcategory, r.title, r.body, r.metadata::text, i.input_hash
FROM embedding_records AS r
JOIN record_inputs AS i ON i.record_id = r.record_id AND i.version_id = $2
WHERE r.collection_id = $1
ORDER BY r.document, r.chunk
