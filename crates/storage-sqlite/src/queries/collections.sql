SELECT c.collection_id, c.name, c.generation, a.id, p.id, c.recipe, c.record_count, c.document_count,
    c.active_version_id
FROM collections AS c
LEFT JOIN embedding_versions AS a ON a.version_id = c.active_version_id
LEFT JOIN embedding_versions AS p ON p.version_id = c.previous_version_id
ORDER BY c.name
