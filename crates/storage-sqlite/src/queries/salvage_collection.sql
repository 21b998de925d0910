INSERT INTO collections (collection_id, name, generation, record_count, document_count) VALUES (?1, ?2, ?3, 0, 0)
