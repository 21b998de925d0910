SELECT r.document, r.chunk, r.source_id, r.record_hash, r.locator_sheet, r.locator_row, r.locator_page,
    r.locator_start, r.locator_end, i.input_hash, i.variant
FROM embedding_records AS r
LEFT JOIN record_inputs AS i ON i.record_id = r.record_id AND i.version_id = $2
WHERE r.collection_id = $1
ORDER BY r.document, r.chunk
