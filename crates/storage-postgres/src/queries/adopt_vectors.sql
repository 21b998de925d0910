-- One unhashed vector may become several: rows of equal content differ in what else their recipe takes.
INSERT INTO embedding_vectors (space_id, input_hash, variant, checksum, guard, run_id, created_at, embedding)
SELECT v.space_id, n.input_hash, n.checksum, n.checksum, n.guard, v.run_id, v.created_at, v.embedding
FROM unnest($1::bigint[], $2::bytea[], $3::bytea[], $4::bigint[]) AS n (vector_id, input_hash, checksum, guard)
JOIN embedding_vectors AS v ON v.vector_id = n.vector_id
ON CONFLICT (space_id, input_hash, variant) DO NOTHING
