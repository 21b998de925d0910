ANALYZE embedding_vectors (vector_id, space_id, input_hash, variant, created_at);
ANALYZE embedding_records (record_id, collection_id, document, chunk, category, source_id);
ANALYZE record_inputs
