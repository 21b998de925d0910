SELECT record_id, version_id, input_hash, variant FROM record_inputs WHERE record_id = ANY ($1)
