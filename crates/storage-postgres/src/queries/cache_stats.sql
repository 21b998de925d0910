SELECT
    (SELECT count(*) FROM embedding_vectors),
    count(*),
    coalesce(sum(4 * s.dimensions), 0)::bigint,
    min(v.created_at)
FROM embedding_vectors AS v
JOIN embedding_spaces AS s ON s.space_id = v.space_id
WHERE v.space_id IN (SELECT space_id FROM collection_versions)
    AND v.space_id NOT IN (SELECT space_id FROM collection_versions WHERE state = 'building')
    AND NOT EXISTS (SELECT 1 FROM record_inputs AS i WHERE i.vector_id = v.vector_id)
    AND NOT EXISTS (SELECT 1 FROM unnest($1::bigint[]) AS k (vector_id) WHERE k.vector_id = v.vector_id)
