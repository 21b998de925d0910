SELECT s.generation, coalesce((SELECT sum(generation) FROM collections), 0)::bigint,
    s.store_id ~ '^[0-9a-f]{32}$'
FROM store_state AS s
WHERE s.only_row = 1
