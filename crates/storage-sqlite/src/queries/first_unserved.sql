-- The first row that would be left without a vector of the active version, if there is one.
SELECT r.document, r.chunk
FROM embedding_records AS r
JOIN collections AS c ON c.collection_id = r.collection_id
WHERE r.collection_id = ?1 AND NOT EXISTS (
    SELECT 1 FROM record_inputs AS i WHERE i.record_id = r.record_id AND i.version_id = c.active_version_id)
LIMIT 1
