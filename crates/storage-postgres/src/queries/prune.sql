-- A space without a version belongs to a run that was cut off, and will be taken up again.
DELETE FROM embedding_vectors AS v
WHERE v.created_at < $1
    AND v.space_id IN (SELECT space_id FROM collection_versions)
    AND v.space_id NOT IN (SELECT space_id FROM collection_versions WHERE state = 'building')
    AND NOT EXISTS (SELECT 1 FROM record_inputs AS i WHERE i.vector_id = v.vector_id)
    AND NOT EXISTS (SELECT 1 FROM unnest($2::bigint[]) AS k (vector_id) WHERE k.vector_id = v.vector_id)
