SELECT r.document, r.chunk, i.input_hash, i.variant, r.record_hash IS NULL
FROM embedding_records AS r
JOIN record_inputs AS i ON i.record_id = r.record_id AND i.version_id = $2
WHERE r.collection_id = $1
ORDER BY r.document, r.chunk
