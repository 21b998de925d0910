SELECT
    (SELECT count(*) FROM embedding_vectors),
    count(*),
    coalesce(sum(4 * v.dimensions), 0),
    min(v.created_at)
FROM embedding_vectors AS v
JOIN embedding_versions AS e ON e.version_id = v.version_id
WHERE e.state <> 'building' AND NOT EXISTS (SELECT 1 FROM record_inputs AS i WHERE i.vector_id = v.vector_id)
