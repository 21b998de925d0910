SELECT c.collection_id, c.generation, c.active_version_id, c.previous_version_id, c.record_count
FROM collections AS c
WHERE c.name = $1
