SELECT (SELECT count(*) FROM embedding_records), (SELECT count(*) FROM embedding_vectors),
    (SELECT generation FROM store_state WHERE only_row = 1)
