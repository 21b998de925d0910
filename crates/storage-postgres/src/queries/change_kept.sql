UPDATE run_undo AS u SET replaced = k.replaced
FROM unnest($3::text[], $4::bigint[], $5::text[]) AS k (document, chunk, replaced)
WHERE u.run_id = $1 AND u.collection_id = $2 AND u.document = k.document COLLATE "C" AND u.chunk = k.chunk
