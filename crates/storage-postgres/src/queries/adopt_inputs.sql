-- The unhashed vectors of some rows, in every version that has them.
SELECT i.record_id, i.version_id, n.recipe, v.vector_id, v.space_id, v.run_id, v.created_at, vector_send(v.embedding)
FROM record_inputs AS i
JOIN embedding_vectors AS v ON v.vector_id = i.vector_id
JOIN collection_versions AS n ON n.version_id = i.version_id
WHERE i.record_id = ANY ($1) AND v.checksum IS NULL
ORDER BY v.vector_id, i.record_id, i.version_id
