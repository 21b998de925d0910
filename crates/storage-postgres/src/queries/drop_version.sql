DELETE FROM collection_versions WHERE version_id = $1
