UPDATE run_undo SET replaced = ?5 WHERE run_id = ?1 AND collection_id = ?2 AND document = ?3 AND chunk = ?4
