SELECT s.id
FROM embedding_records AS r
JOIN sources AS s ON s.source_id = r.source_id
WHERE r.collection_id = ?1 AND r.document = ?2 AND r.source_id <> ?3
LIMIT 1
