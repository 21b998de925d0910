SELECT collection_id, name, generation, active_version_id, previous_version_id, record_count, document_count
FROM collections
ORDER BY name
