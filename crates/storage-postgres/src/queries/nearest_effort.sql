SELECT set_config('hnsw.iterative_scan', 'strict_order', true), set_config('hnsw.ef_search', $1, true),
    set_config('hnsw.max_scan_tuples', $2, true)
