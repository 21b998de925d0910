-- A page that is no longer used may hold an older line of a row, which only said that the run created it.
INSERT INTO run_undo (run_id, collection_id, document, chunk, replaced) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT DO UPDATE SET replaced = coalesce(replaced, excluded.replaced)
