-- An empty variant, ours, sorts before every imported one. Vectors that were written by SQL have no input yet.
-- Not min: there is one for bytea from PostgreSQL 18 on only.
SELECT v.input_hash, (array_agg(v.variant ORDER BY v.variant))[1]
FROM unnest($2::bytea[]) AS k (input_hash)
JOIN embedding_vectors AS v ON v.space_id = $1 AND v.input_hash = k.input_hash
GROUP BY v.input_hash
