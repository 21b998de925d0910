DELETE FROM embedding_records WHERE record_id = ANY ($1)
