UPDATE record_inputs AS i
SET vector_id = v.vector_id, input_hash = v.input_hash, variant = v.variant
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bytea[], $5::bytea[])
    AS n (record_id, version_id, space_id, input_hash, variant)
JOIN embedding_vectors AS v
    ON v.space_id = n.space_id AND v.input_hash = n.input_hash AND v.variant = n.variant
WHERE i.record_id = n.record_id AND i.version_id = n.version_id
