SELECT EXISTS (SELECT 1 FROM embedding_records WHERE collection_id = ?1 AND document = ?2)
