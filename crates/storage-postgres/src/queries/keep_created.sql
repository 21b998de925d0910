-- Rows that a run created: all that are its own and took nobody's place, which is what a line says already.
INSERT INTO run_undo (run_id, collection_id, document, chunk, replaced)
SELECT r.run_id, r.collection_id, r.document, r.chunk, NULL
FROM embedding_records AS r
WHERE r.collection_id = $2 AND r.run_id = $1
ON CONFLICT DO NOTHING
