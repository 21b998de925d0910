SELECT v.input_hash, v.checksum, v.guard, vector_send(v.embedding), s.dimensions, v.run_id, v.created_at
FROM embedding_vectors AS v
LEFT JOIN embedding_spaces AS s ON s.space_id = v.space_id
