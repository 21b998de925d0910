SELECT source_id FROM sources WHERE collection_id = ?1 AND id = ?2
