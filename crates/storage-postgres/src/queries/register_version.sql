INSERT INTO collection_versions (collection_id, space_id, recipe, state, created_at)
VALUES ($1, $2, $3, 'building', $4)
