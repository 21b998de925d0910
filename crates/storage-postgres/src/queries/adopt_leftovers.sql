-- Unhashed vectors whose rows refer to hashed ones now, or are gone.
DELETE FROM embedding_vectors AS v
WHERE v.checksum IS NULL AND NOT EXISTS (SELECT 1 FROM record_inputs AS i WHERE i.vector_id = v.vector_id)
