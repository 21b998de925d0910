SELECT v.input_hash, v.variant, v.guard, v.run_id, v.created_at, vector_send(v.embedding)
FROM embedding_vectors AS v
WHERE v.space_id = $1
ORDER BY v.input_hash, v.variant
