SELECT vector_id FROM embedding_vectors WHERE space_id = ?1
