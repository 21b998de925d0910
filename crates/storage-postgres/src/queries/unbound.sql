SELECT r.document, r.chunk
FROM embedding_records AS r
WHERE r.collection_id = $1 AND NOT EXISTS (
    SELECT 1 FROM record_inputs AS i WHERE i.record_id = r.record_id AND i.version_id = $2)
ORDER BY r.document, r.chunk
