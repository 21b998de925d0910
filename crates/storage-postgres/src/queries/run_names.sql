SELECT run_id, id FROM runs WHERE run_id = ANY ($1)
