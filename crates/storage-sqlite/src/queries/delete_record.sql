DELETE FROM embedding_records WHERE record_id = ?1
