SELECT r.document, r.chunk, r.source_id, r.locator_sheet, r.locator_row, r.locator_page, r.locator_start,
    r.locator_end, r.category, r.subcategory, r.title, r.body, r.metadata::text, r.record_hash, v.input_hash,
    r.place_guard, r.run_id, r.created_at, r.updated_at
FROM embedding_records AS r
LEFT JOIN record_inputs AS i ON i.record_id = r.record_id AND i.version_id = $2
LEFT JOIN embedding_vectors AS v ON v.vector_id = i.vector_id
WHERE r.collection_id = $1
ORDER BY r.document, r.chunk
