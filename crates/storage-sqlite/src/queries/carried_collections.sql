SELECT collection_id, name, active_version_id FROM collections
