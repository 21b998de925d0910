SELECT EXISTS (SELECT 1 FROM collection_versions WHERE space_id = $1)
