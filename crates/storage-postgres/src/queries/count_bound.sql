UPDATE collection_versions SET record_count = record_count + $2 WHERE version_id = $1
