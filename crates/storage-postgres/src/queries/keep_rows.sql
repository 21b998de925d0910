-- A line that is there says no more than that the run created the row, which somebody has written over since.
INSERT INTO run_undo (run_id, collection_id, document, chunk, replaced)
SELECT $1, $2, k.document, k.chunk, k.replaced
FROM unnest($3::text[], $4::bigint[], $5::text[]) AS k (document, chunk, replaced)
ON CONFLICT (run_id, collection_id, document, chunk) DO UPDATE SET replaced = excluded.replaced
