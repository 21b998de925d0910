SELECT v.version_id, s.id, v.recipe, v.state, v.record_count, v.calibration, v.evaluation, v.created_at, s.space_id,
    s.dimensions
FROM collection_versions AS v
JOIN embedding_spaces AS s ON s.space_id = v.space_id
WHERE v.collection_id = $1
ORDER BY v.version_id
