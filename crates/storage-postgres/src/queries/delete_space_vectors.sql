WITH gone AS (DELETE FROM embedding_vectors WHERE space_id = $1 RETURNING 1) SELECT count(*) FROM gone
