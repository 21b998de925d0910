SELECT replaced FROM run_undo WHERE run_id = ?1 AND collection_id = ?2 AND document = ?3 AND chunk = ?4
