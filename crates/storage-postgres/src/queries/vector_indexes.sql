-- Every index of ours on the vectors, with what is known of how it was built.
SELECT c.relname::text, x.indisvalid AND x.indisready, pg_relation_size(c.oid), k.m, k.ef_construction, k.ef_search,
    k.max_scan_tuples, k.tuning
FROM pg_index AS x
JOIN pg_class AS c ON c.oid = x.indexrelid
LEFT JOIN vector_indexes AS k ON k.name = c.relname
WHERE x.indrelid = 'embedding_vectors'::regclass AND starts_with(c.relname::text, $1)
ORDER BY c.relname
