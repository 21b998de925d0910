SELECT store_id, generation, pg_catalog.pg_is_in_recovery() FROM store_state WHERE only_row = 1
