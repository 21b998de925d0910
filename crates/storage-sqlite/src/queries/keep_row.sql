INSERT INTO run_undo (run_id, collection_id, document, chunk, replaced) VALUES (?1, ?2, ?3, ?4, ?5)
