SELECT u.document, u.chunk, u.replaced
FROM unnest($3::text[], $4::bigint[]) AS k (document, chunk)
JOIN run_undo AS u
    ON u.run_id = $1 AND u.collection_id = $2 AND u.document = k.document COLLATE "C" AND u.chunk = k.chunk
