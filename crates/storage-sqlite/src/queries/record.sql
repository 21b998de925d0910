SELECT record_id, category, source_id FROM embedding_records WHERE collection_id = ?1 AND document = ?2 AND chunk = ?3
