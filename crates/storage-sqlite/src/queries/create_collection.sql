INSERT INTO collections (name, generation, record_count, document_count) VALUES (?1, 0, 0, 0)
ON CONFLICT (name) DO NOTHING
