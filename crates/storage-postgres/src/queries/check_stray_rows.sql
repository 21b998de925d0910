-- Rows whose collection or source is gone, so that no collection's check meets them.
SELECT count(*)
FROM embedding_records AS r
LEFT JOIN collections AS c ON c.collection_id = r.collection_id
LEFT JOIN sources AS s ON s.source_id = r.source_id AND s.collection_id = r.collection_id
WHERE c.collection_id IS NULL OR s.source_id IS NULL
