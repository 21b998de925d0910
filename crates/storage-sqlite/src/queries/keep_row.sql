-- A line that is there says no more than that the run created the row, which somebody has written over since.
INSERT INTO run_undo (run_id, collection_id, document, chunk, replaced) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT DO UPDATE SET replaced = excluded.replaced
