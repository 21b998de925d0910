SELECT c.collection_id, c.name, c.generation, c.recipe, c.record_count, c.document_count, c.active_version_id, a.state
FROM collections AS c
LEFT JOIN embedding_versions AS a ON a.version_id = c.active_version_id
ORDER BY c.name
