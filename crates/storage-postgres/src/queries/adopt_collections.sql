SELECT c.collection_id, c.name FROM collections AS c
WHERE EXISTS (SELECT 1 FROM embedding_records AS r WHERE r.collection_id = c.collection_id AND r.record_hash IS NULL)
ORDER BY c.collection_id
