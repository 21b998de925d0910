INSERT INTO embedding_vectors (space_id, dimensions, input_hash, variant, checksum, guard, run_id, created_at,
    embedding)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
