SELECT source_id, id FROM sources WHERE collection_id = $1
