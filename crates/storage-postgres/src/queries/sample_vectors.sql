-- The same ones every time, from anywhere in the table.
SELECT vector_send(v.embedding) FROM embedding_vectors AS v
WHERE v.vector_id = ANY (ARRAY(
    SELECT i.vector_id FROM record_inputs AS i WHERE i.version_id = $1
    GROUP BY i.vector_id ORDER BY hashint8(i.vector_id), i.vector_id LIMIT $2))
