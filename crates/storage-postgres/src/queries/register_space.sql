INSERT INTO embedding_spaces (id, provider, name, dimensions, revision, query_prefix, passage_prefix, normaliser,
    nonce, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (id) DO NOTHING
