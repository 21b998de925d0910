-- The first row without a vector of a version: which one to name in a refusal.
SELECT r.document, r.chunk
FROM embedding_records AS r
WHERE r.collection_id = $1 AND NOT EXISTS (
    SELECT 1 FROM record_inputs AS i WHERE i.record_id = r.record_id AND i.version_id = $2)
LIMIT 1
