-- What is in the schema $1 of this database: where pgvector is, its type's number, whether the server only reads,
-- whether there is a store, a table of somebody else's under a name of ours, the server's version, whether the schema
-- exists.
SELECT
    (SELECT n.nspname::text FROM pg_catalog.pg_extension AS e
        JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace WHERE e.extname = 'vector'),
    (SELECT t.oid FROM pg_catalog.pg_extension AS e
        JOIN pg_catalog.pg_type AS t ON t.typnamespace = e.extnamespace AND t.typname = 'vector'
        WHERE e.extname = 'vector'),
    pg_catalog.pg_is_in_recovery(),
    EXISTS (SELECT 1 FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname = $1 AND c.relname = 'smart_support_migrations'),
    (SELECT min(c.relname)::text FROM pg_catalog.pg_class AS c
        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname = $1 AND c.relname IN ('store_state', 'embedding_spaces', 'canaries', 'collections',
            'collection_versions', 'category_counts', 'sources', 'runs', 'embedding_vectors', 'embedding_records',
            'record_inputs', 'run_undo', 'embeddings')),
    current_setting('server_version_num')::integer,
    EXISTS (SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1)
