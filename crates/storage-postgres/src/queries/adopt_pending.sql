SELECT EXISTS (SELECT 1 FROM embedding_records WHERE record_hash IS NULL)
    OR EXISTS (SELECT 1 FROM embedding_vectors WHERE checksum IS NULL)
