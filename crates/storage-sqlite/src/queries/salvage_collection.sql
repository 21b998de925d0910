INSERT INTO collections (collection_id, name, active_version_id, previous_version_id, recipe, generation, threshold,
    record_count, document_count)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, 0)
