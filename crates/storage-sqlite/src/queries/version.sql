SELECT version_id, dimensions FROM embedding_versions WHERE id = ?1
