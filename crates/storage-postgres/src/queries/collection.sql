-- A collection, and beside it each of its versions.
SELECT c.collection_id, c.generation, c.active_version_id, c.previous_version_id, c.record_count, v.version_id, s.id,
    v.recipe, v.state, v.record_count, v.calibration, v.evaluation, v.created_at, s.space_id, s.dimensions
FROM collections AS c
LEFT JOIN collection_versions AS v ON v.collection_id = c.collection_id
LEFT JOIN embedding_spaces AS s ON s.space_id = v.space_id
WHERE c.name = $1
ORDER BY v.version_id
