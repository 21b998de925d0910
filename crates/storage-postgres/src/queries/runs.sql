SELECT id, kind, source, version, state, requests, texts, tokens, started_at, finished_at, collection
FROM runs
WHERE collection = $1
ORDER BY started_at DESC, id DESC
LIMIT $2
