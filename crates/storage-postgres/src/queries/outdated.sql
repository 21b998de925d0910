-- Whether the planner's picture of the tables is off by more than a tenth.
SELECT bool_or(abs(c.reltuples - counted.rows) > counted.rows / 10.0)
FROM (
    SELECT 'embedding_records'::regclass AS relation, coalesce(sum(record_count), 0) AS rows FROM collections
    UNION ALL
    SELECT 'record_inputs'::regclass, coalesce(sum(record_count), 0) FROM collection_versions
) AS counted
JOIN pg_catalog.pg_class AS c ON c.oid = counted.relation
