SELECT
    (SELECT coalesce(sum(4 * dimensions), 0) FROM embedding_vectors),
    (SELECT coalesce(sum(octet_length(title) + octet_length(body) + coalesce(octet_length(category), 0)
        + coalesce(octet_length(subcategory), 0) + octet_length(metadata)), 0) FROM embedding_records)
