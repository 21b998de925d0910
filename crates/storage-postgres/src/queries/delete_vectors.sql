WITH gone AS (DELETE FROM embedding_vectors WHERE vector_id = ANY ($1) RETURNING 1) SELECT count(*) FROM gone
