COPY record_inputs (record_id, version_id, space_id, vector_id, input_hash, variant) FROM STDIN (FORMAT binary)
