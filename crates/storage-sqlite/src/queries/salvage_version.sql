INSERT INTO collection_versions (version_id, collection_id, space_id, recipe, state, record_count, calibration, evaluation,
    created_at)
VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, ?7, ?8)
ON CONFLICT DO NOTHING
