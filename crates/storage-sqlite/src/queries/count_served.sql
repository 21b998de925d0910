-- Rows of one collection with a reference of a version: one lookup a row.
SELECT count(*)
FROM embedding_records AS r
JOIN record_inputs AS i ON i.record_id = r.record_id AND i.version_id = ?2
WHERE r.collection_id = ?1
