INSERT INTO category_counts (collection_id, category, record_count) VALUES ($1, $2, $3)
