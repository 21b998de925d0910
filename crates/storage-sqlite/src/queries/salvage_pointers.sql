UPDATE collections SET active_version_id = ?2, previous_version_id = ?3 WHERE collection_id = ?1
