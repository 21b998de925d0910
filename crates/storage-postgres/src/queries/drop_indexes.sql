-- Statements that drop the indexes of a space that nobody uses any longer.
SELECT format('DROP INDEX %I.%I', n.nspname, c.relname)
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname = current_schema()
WHERE c.relkind = 'i' AND starts_with(c.relname::text, 'smart_support_hnsw_' || $1 || '_')
