COPY embedding_vectors (space_id, input_hash, variant, checksum, guard, run_id, created_at, embedding)
FROM STDIN (FORMAT binary)
