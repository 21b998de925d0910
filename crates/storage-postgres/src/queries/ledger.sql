SELECT id, kind, source, version, state, requests, texts, tokens, started_at, finished_at, collection
FROM runs
WHERE kind IS NOT NULL
ORDER BY started_at, id
