SELECT
    (SELECT count(*) FROM embedding_vectors),
    count(*),
    coalesce(sum(4 * v.dimensions), 0),
    min(v.created_at)
FROM embedding_vectors AS v
WHERE v.space_id IN (SELECT space_id FROM collection_versions)
    AND v.space_id NOT IN (SELECT space_id FROM collection_versions WHERE state = 'building')
    AND NOT EXISTS (SELECT 1 FROM record_inputs AS i WHERE i.vector_id = v.vector_id)
    AND v.vector_id NOT IN (SELECT value FROM json_each(?1))
