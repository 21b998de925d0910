SELECT category, record_count FROM category_counts WHERE collection_id = $1 ORDER BY category NULLS FIRST
