-- The newest migration, and tables of ours that are not there.
SELECT
    (SELECT max(version)::bigint FROM smart_support_migrations),
    (SELECT string_agg(name, ', ') FROM unnest(ARRAY['store_state', 'embedding_spaces', 'canaries', 'collections',
        'collection_versions', 'category_counts', 'sources', 'runs', 'embedding_vectors', 'embedding_records',
        'record_inputs', 'run_undo', 'vector_indexes']) AS t (name) WHERE to_regclass(name) IS NULL)
