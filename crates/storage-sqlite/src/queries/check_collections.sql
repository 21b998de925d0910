SELECT collection_id, name, generation, record_count, document_count, active_version_id
FROM collections
ORDER BY name
