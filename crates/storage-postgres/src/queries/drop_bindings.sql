DELETE FROM record_inputs WHERE version_id = $1
