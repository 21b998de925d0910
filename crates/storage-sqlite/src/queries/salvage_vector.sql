-- A vector that is met twice, on a page that is in use and on a copy of it, is one.
INSERT INTO embedding_vectors (vector_id, space_id, dimensions, input_hash, variant, checksum, guard, run_id,
    created_at, embedding)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
ON CONFLICT DO NOTHING
