INSERT INTO record_inputs (record_id, version_id, vector_id) VALUES (?1, ?2, ?3)
ON CONFLICT (record_id, version_id) DO UPDATE SET vector_id = excluded.vector_id
