ANALYZE embedding_vectors;
ANALYZE embedding_records;
ANALYZE record_inputs
