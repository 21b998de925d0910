INSERT INTO collection_versions (collection_id, space_id, recipe, state, record_count, created_at)
VALUES (?1, ?2, ?3, 'building', 0, ?4)
ON CONFLICT (collection_id, space_id, recipe) DO NOTHING
