SELECT id, provider, name, dimensions, revision, query_prefix, passage_prefix, normaliser, nonce, created_at
FROM embedding_spaces
ORDER BY created_at, id
