SELECT nextval(pg_get_serial_sequence('embedding_records', 'record_id')) FROM generate_series(1, $1)
