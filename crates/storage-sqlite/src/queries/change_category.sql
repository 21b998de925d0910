UPDATE category_counts SET record_count = record_count + ?3 WHERE collection_id = ?1 AND category IS ?2
