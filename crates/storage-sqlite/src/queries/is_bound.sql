SELECT 1 FROM record_inputs WHERE record_id = ?1 AND version_id = ?2
