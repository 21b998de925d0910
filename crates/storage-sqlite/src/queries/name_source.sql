INSERT INTO sources (collection_id, id) VALUES (?1, ?2) ON CONFLICT (collection_id, id) DO NOTHING
