-- What the schema leaves to this check: references from the large tables to the small ones.
SELECT what, missing FROM (
    SELECT 'vectors without a space' AS what, count(*) AS missing FROM embedding_vectors AS v
    WHERE NOT EXISTS (SELECT 1 FROM embedding_spaces AS s WHERE s.space_id = v.space_id)
    UNION ALL
    SELECT 'vectors without a run', count(*) FROM embedding_vectors AS v
    WHERE NOT EXISTS (SELECT 1 FROM runs AS u WHERE u.run_id = v.run_id)
    UNION ALL
    SELECT 'rows without a run', count(*) FROM embedding_records AS r
    WHERE NOT EXISTS (SELECT 1 FROM runs AS u WHERE u.run_id = r.run_id)
) AS found
WHERE missing > 0
