-- References without a row, without a vector, to a vector of another space than the version's, or under another name
-- than its own; versions of another collection than the row's.
SELECT count(*)
FROM record_inputs AS i
LEFT JOIN embedding_records AS r ON r.record_id = i.record_id
LEFT JOIN embedding_vectors AS v ON v.vector_id = i.vector_id
LEFT JOIN collection_versions AS c ON c.version_id = i.version_id
WHERE r.record_id IS NULL OR v.space_id IS DISTINCT FROM i.space_id OR c.space_id IS DISTINCT FROM i.space_id
    OR c.collection_id IS DISTINCT FROM r.collection_id
    OR v.input_hash IS DISTINCT FROM i.input_hash OR v.variant IS DISTINCT FROM i.variant
