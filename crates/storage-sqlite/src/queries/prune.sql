DELETE FROM embedding_vectors
WHERE created_at < ?1
    AND version_id IN (SELECT version_id FROM embedding_versions WHERE state <> 'building')
    AND NOT EXISTS (SELECT 1 FROM record_inputs AS i WHERE i.vector_id = embedding_vectors.vector_id)
