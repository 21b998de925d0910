SELECT document, chunk, replaced FROM run_undo
WHERE run_id = ?1 AND collection_id = ?2 AND replaced IS NOT NULL
