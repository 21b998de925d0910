INSERT INTO embedding_versions (version_id, id, provider, name, dimensions, revision, query_prefix, passage_prefix,
    normaliser, nonce, state, calibration, created_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
