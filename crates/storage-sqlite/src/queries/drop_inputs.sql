DELETE FROM record_inputs WHERE record_id = ?1
