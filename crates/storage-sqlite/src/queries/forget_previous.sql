UPDATE collections SET previous_version_id = NULL WHERE previous_version_id = ?1
