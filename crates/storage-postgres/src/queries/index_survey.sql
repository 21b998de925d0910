SELECT s.dimensions, (SELECT count(*) FROM embedding_vectors AS v WHERE v.space_id = $1), e.extversion,
    pg_size_bytes(current_setting('maintenance_work_mem'))
FROM embedding_spaces AS s, pg_extension AS e
WHERE s.space_id = $1 AND e.extname = 'vector'
