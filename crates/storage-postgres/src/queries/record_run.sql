INSERT INTO runs (id, kind, collection, source, version, state, requests, texts, tokens, started_at, finished_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, collection = excluded.collection, source = excluded.source,
    version = excluded.version, state = excluded.state, requests = excluded.requests, texts = excluded.texts,
    tokens = excluded.tokens, started_at = excluded.started_at, finished_at = excluded.finished_at
