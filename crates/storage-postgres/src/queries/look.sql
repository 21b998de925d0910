-- What is in the schema $1 of this database: where pgvector is, its type's number, whether the server only reads,
-- whether there is a store, a table or a function under a name of ours, the server's version, whether the schema exists,
-- and whether `public` does.
SELECT
    (SELECT n.nspname::text FROM pg_catalog.pg_extension AS e
        JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace WHERE e.extname = 'vector'),
    (SELECT t.oid FROM pg_catalog.pg_extension AS e
        JOIN pg_catalog.pg_type AS t ON t.typnamespace = e.extnamespace AND t.typname = 'vector'
        WHERE e.extname = 'vector'),
    pg_catalog.pg_is_in_recovery(),
    EXISTS (SELECT 1 FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname = $1 AND c.relname = 'smart_support_migrations'),
    (SELECT min(taken.name) FROM (
        SELECT c.relname::text AS name FROM pg_catalog.pg_class AS c
        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname = $1 AND c.relname IN ('store_state', 'embedding_spaces', 'canaries', 'collections',
            'collection_versions', 'category_counts', 'sources', 'runs', 'embedding_vectors', 'embedding_records',
            'record_inputs', 'run_undo', 'vector_indexes', 'embeddings', 'embedding_stats',
            'product_embedding_stats')
        UNION ALL
        SELECT p.proname::text || '()' FROM pg_catalog.pg_proc AS p
        JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
        WHERE n.nspname = $1 AND p.proname IN ('served_version', 'record_of', 'search_embeddings',
            'change_category_count', 'unbind_record', 'raise_generations', 'upsert_embedding', 'delete_embedding',
            'served_vector', 'find_similar_products', 'product_similarity')) AS taken),
    current_setting('server_version_num')::integer,
    EXISTS (SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1),
    EXISTS (SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = 'public')
