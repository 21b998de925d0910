INSERT INTO runs (id, requests, texts, tokens) VALUES ($1, $2, $3, $4)
ON CONFLICT (id) DO UPDATE SET requests = runs.requests + excluded.requests, texts = runs.texts + excluded.texts,
    tokens = runs.tokens + excluded.tokens
RETURNING run_id
