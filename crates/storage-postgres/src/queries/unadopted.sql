-- A row that was written by SQL, with its vector in the active version.
SELECT r.document, r.chunk, r.source_id, r.locator_sheet, r.locator_row, r.locator_page, r.locator_start,
    r.locator_end, r.category, r.subcategory, r.title, r.body, r.metadata::text, vector_send(v.embedding)
FROM embedding_records AS r
LEFT JOIN record_inputs AS i ON i.record_id = r.record_id AND i.version_id = $4
LEFT JOIN embedding_vectors AS v ON v.vector_id = i.vector_id
WHERE r.collection_id = $1 AND r.document = $2 AND r.chunk = $3
