-- Categories of a collection whose rows are not as many as recorded, either way.
SELECT
    (SELECT count(*) FROM (SELECT 1 FROM embedding_records WHERE collection_id = $1 GROUP BY category) AS c),
    (SELECT count(*) FROM category_counts WHERE collection_id = $1),
    (SELECT count(*) FROM (
        SELECT category, count(*) FROM embedding_records WHERE collection_id = $1 GROUP BY category
        EXCEPT SELECT category, record_count FROM category_counts WHERE collection_id = $1) AS c)
