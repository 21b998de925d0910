SELECT document, chunk, replaced FROM run_undo WHERE collection_id = ?1 AND replaced IS NOT NULL
