INSERT INTO vector_indexes (space_id, name, m, ef_construction, built_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (space_id) DO UPDATE SET name = excluded.name, m = excluded.m,
    ef_construction = excluded.ef_construction, built_at = excluded.built_at,
    ef_search = NULL, max_scan_tuples = NULL, tuning = NULL
