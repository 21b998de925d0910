-- Space, version and length are written into this text: a partial index is used for constants only.
SELECT r.document, r.chunk, r.source_id, r.locator_sheet, r.locator_row, r.locator_page, r.locator_start,
    r.locator_end, r.category, r.subcategory, r.title, r.body, r.metadata::text, vector_send(v.embedding), v.guard,
    v.run_id, v.created_at
FROM embedding_vectors AS v
JOIN record_inputs AS i ON i.vector_id = v.vector_id AND i.version_id = {version}
JOIN embedding_records AS r ON r.record_id = i.record_id
WHERE v.space_id = {space}{conditions}
ORDER BY {distance}
LIMIT $2
