UPDATE collections SET previous_version_id = active_version_id, active_version_id = $2
WHERE collection_id = $1 AND active_version_id IS DISTINCT FROM $2
