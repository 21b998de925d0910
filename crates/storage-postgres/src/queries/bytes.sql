-- Everything in the schema that is ours, indices included; then the numbers of the vectors; then the texts.
SELECT
    (SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint
        FROM pg_class AS c
        WHERE c.relkind = 'r' AND c.oid = ANY (ARRAY['smart_support_migrations', 'store_state', 'embedding_spaces',
            'canaries', 'collections', 'collection_versions', 'category_counts', 'sources', 'runs',
            'embedding_vectors', 'embedding_records', 'record_inputs', 'run_undo', 'vector_indexes']::regclass[])),
    (SELECT coalesce(sum(4 * s.dimensions::bigint * v.vectors), 0)::bigint
        FROM (SELECT space_id, count(*) AS vectors FROM embedding_vectors GROUP BY space_id) AS v
        JOIN embedding_spaces AS s ON s.space_id = v.space_id),
    (SELECT coalesce(sum(octet_length(title) + octet_length(body) + coalesce(octet_length(category), 0)
        + coalesce(octet_length(subcategory), 0) + octet_length(metadata::text)), 0)::bigint FROM embedding_records)
