SELECT r.document, s.id
FROM unnest($2::text[], $3::bigint[]) AS k (document, source_id)
JOIN embedding_records AS r
    ON r.collection_id = $1 AND r.document = k.document COLLATE "C" AND r.source_id <> k.source_id
JOIN sources AS s ON s.source_id = r.source_id
LIMIT 1
