SELECT run_id FROM runs WHERE id = $1
