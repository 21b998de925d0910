-- References without a row, without a vector, to a vector of another version, or under another name than its own.
SELECT count(*)
FROM record_inputs AS i
LEFT JOIN embedding_records AS r ON r.record_id = i.record_id
LEFT JOIN embedding_vectors AS v ON v.vector_id = i.vector_id
WHERE r.record_id IS NULL OR v.version_id IS NOT i.version_id
    OR v.input_hash IS NOT i.input_hash OR v.variant IS NOT i.variant
