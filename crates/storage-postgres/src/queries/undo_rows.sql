-- What a run wrote or deleted, with what was kept of it, and whether what is there now is the run's. A row that it
-- created and that is gone needs no undoing. A run that kept has a line for each of its rows: where a repair has lost
-- one, nobody knows what was there before, and the row is not the run's to take away.
SELECT u.document, u.chunk, u.replaced, r.run_id = $1
FROM run_undo AS u
LEFT JOIN embedding_records AS r
    ON r.collection_id = u.collection_id AND r.document = u.document AND r.chunk = u.chunk
WHERE u.run_id = $1 AND u.collection_id = $2 AND (u.replaced IS NOT NULL OR r.run_id IS NOT NULL)
UNION ALL
SELECT r.document, r.chunk, NULL,
    NOT EXISTS (SELECT 1 FROM run_undo AS l WHERE l.run_id = $1 AND l.collection_id = $2)
FROM embedding_records AS r
WHERE r.run_id = $1 AND r.collection_id = $2
    AND NOT EXISTS (SELECT 1 FROM run_undo AS u
        WHERE u.run_id = $1 AND u.collection_id = $2 AND u.document = r.document AND u.chunk = r.chunk)
ORDER BY 1, 2
