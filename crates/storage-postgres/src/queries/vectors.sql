-- The position of a key in the question, and the number of its vector.
SELECT k.position, v.vector_id
FROM unnest($1::bigint[], $2::bytea[], $3::bytea[]) WITH ORDINALITY AS k (space_id, input_hash, variant, position)
JOIN embedding_vectors AS v
    ON v.space_id = k.space_id AND v.input_hash = k.input_hash AND v.variant = k.variant
