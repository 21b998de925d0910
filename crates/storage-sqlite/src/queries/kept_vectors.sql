-- A page of a space's vectors, by name, from behind the last one on.
SELECT v.input_hash, v.variant, v.guard, v.run_id, v.created_at, v.embedding
FROM embedding_vectors AS v
WHERE v.space_id = ?1 AND (v.input_hash, v.variant) > (?2, ?3)
ORDER BY v.input_hash, v.variant
LIMIT ?4
