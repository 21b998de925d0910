SELECT v.input_hash, v.checksum, v.guard, v.embedding, e.dimensions, v.run_id, v.created_at
FROM embedding_vectors AS v
LEFT JOIN embedding_versions AS e ON e.version_id = v.version_id
ORDER BY v.vector_id
