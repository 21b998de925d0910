DELETE FROM category_counts WHERE collection_id = $1 AND category IS NOT DISTINCT FROM $2
