INSERT INTO record_inputs (record_id, version_id, space_id, vector_id, input_hash, variant)
VALUES (?1, ?2, ?3, ?4, ?5, ?6)
