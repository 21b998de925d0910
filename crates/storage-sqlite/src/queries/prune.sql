-- A space without a version belongs to a run that was cut off, and will be taken up again.
DELETE FROM embedding_vectors
WHERE created_at < ?1
    AND space_id IN (SELECT space_id FROM collection_versions)
    AND space_id NOT IN (SELECT space_id FROM collection_versions WHERE state = 'building')
    AND NOT EXISTS (SELECT 1 FROM record_inputs AS i WHERE i.vector_id = embedding_vectors.vector_id)
    AND vector_id NOT IN (SELECT value FROM json_each(?2))
