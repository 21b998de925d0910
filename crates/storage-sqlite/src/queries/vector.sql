SELECT vector_id FROM embedding_vectors WHERE space_id = ?1 AND input_hash = ?2 AND variant = ?3
