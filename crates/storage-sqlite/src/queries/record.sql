SELECT record_id, category, source_id, run_id, created_at, updated_at
FROM embedding_records WHERE collection_id = ?1 AND document = ?2 AND chunk = ?3
