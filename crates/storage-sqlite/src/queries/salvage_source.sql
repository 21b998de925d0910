INSERT INTO sources (source_id, collection_id, id, kind, location) VALUES (?1, ?2, ?3, ?4, ?5)
