-- What a metadata key holds in a collection, each value once, and in how many rows; NULL where a row lacks it. Hashed, not sorted.
SELECT coalesce((r.metadata -> $2)::text, CASE $2
    WHEN 'category' THEN to_json(r.category)::text WHEN 'subcategory' THEN to_json(r.subcategory)::text END) COLLATE "C", count(*)
FROM embedding_records AS r
WHERE r.collection_id = $1 AND ($3::text IS NULL OR r.document = $3) AND ($4::text[] IS NULL OR r.category = ANY ($4))
GROUP BY 1
