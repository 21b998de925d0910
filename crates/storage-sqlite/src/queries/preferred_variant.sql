-- An empty variant, ours, sorts before every imported one.
SELECT variant FROM embedding_vectors WHERE space_id = ?1 AND input_hash = ?2 ORDER BY variant LIMIT 1
