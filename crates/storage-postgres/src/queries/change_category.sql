UPDATE category_counts SET record_count = $3 WHERE collection_id = $1 AND category IS NOT DISTINCT FROM $2
