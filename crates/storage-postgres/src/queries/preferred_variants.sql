-- An empty variant, ours, sorts before every imported one. Vectors that were written by SQL have no input yet.
SELECT v.input_hash, min(v.variant)
FROM unnest($2::bytea[]) AS k (input_hash)
JOIN embedding_vectors AS v ON v.space_id = $1 AND v.input_hash = k.input_hash
GROUP BY v.input_hash
