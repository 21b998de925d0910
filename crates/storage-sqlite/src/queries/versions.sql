SELECT id, provider, name, dimensions, revision, query_prefix, passage_prefix, normaliser, nonce, state, created_at
FROM embedding_versions
ORDER BY created_at, id
