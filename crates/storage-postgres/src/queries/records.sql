SELECT r.record_id, r.document, r.chunk, r.category, r.source_id, r.run_id, r.created_at, r.updated_at,
    r.record_hash IS NOT NULL
FROM unnest($2::text[], $3::bigint[]) AS k (document, chunk)
JOIN embedding_records AS r
    ON r.collection_id = $1 AND r.document = k.document COLLATE "C" AND r.chunk = k.chunk
