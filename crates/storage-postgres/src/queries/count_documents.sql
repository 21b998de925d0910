SELECT count(*) FROM unnest($2::text[]) AS k (document)
WHERE EXISTS (SELECT 1 FROM embedding_records AS r WHERE r.collection_id = $1 AND r.document = k.document COLLATE "C")
