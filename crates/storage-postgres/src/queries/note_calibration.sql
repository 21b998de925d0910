UPDATE collection_versions SET calibration = $2 WHERE version_id = $1
