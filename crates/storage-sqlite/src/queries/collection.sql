SELECT c.collection_id, c.generation, c.active_version_id, a.id, a.dimensions, c.record_count
FROM collections AS c
LEFT JOIN embedding_versions AS a ON a.version_id = c.active_version_id
WHERE c.name = ?1
