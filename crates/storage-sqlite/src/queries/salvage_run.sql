INSERT INTO runs (run_id, id, kind, collection, source, version, state, requests, texts, tokens, started_at,
    finished_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
