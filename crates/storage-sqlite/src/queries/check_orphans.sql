-- References without a row, without a vector, or to a vector of another version.
SELECT count(*)
FROM record_inputs AS i
LEFT JOIN embedding_records AS r ON r.record_id = i.record_id
LEFT JOIN embedding_vectors AS v ON v.vector_id = i.vector_id
WHERE r.record_id IS NULL OR v.version_id IS NOT i.version_id
