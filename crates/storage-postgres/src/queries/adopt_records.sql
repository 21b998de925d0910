UPDATE embedding_records AS r
SET record_hash = n.record_hash, place_guard = n.place_guard, metadata = n.metadata::json
FROM unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::text[]) AS n (record_id, record_hash, place_guard, metadata)
WHERE r.record_id = n.record_id
