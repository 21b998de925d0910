UPDATE collection_versions SET state = $2 WHERE version_id = $1
