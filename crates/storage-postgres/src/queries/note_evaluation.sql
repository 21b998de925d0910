UPDATE collection_versions SET evaluation = $2 WHERE version_id = $1
