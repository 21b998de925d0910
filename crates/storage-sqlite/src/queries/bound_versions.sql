SELECT version_id FROM record_inputs WHERE record_id = ?1
