-- Indices of our tables that are not valid.
SELECT c.relname::text
FROM pg_catalog.pg_index AS x
JOIN pg_catalog.pg_class AS c ON c.oid = x.indexrelid
WHERE NOT x.indisvalid AND x.indrelid IN (
    'embedding_vectors'::regclass, 'embedding_records'::regclass, 'record_inputs'::regclass)
ORDER BY c.relname
