INSERT INTO record_inputs (record_id, version_id, space_id, vector_id, input_hash, variant)
VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (record_id, version_id) DO UPDATE SET vector_id = excluded.vector_id, input_hash = excluded.input_hash,
    variant = excluded.variant
