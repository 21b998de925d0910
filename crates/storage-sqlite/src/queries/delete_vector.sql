DELETE FROM embedding_vectors WHERE vector_id = ?1 RETURNING 4 * dimensions
