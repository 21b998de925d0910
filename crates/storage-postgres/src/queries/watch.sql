-- One look: how far the store is, and whether the server could notify.
SELECT generation, pg_catalog.pg_is_in_recovery() FROM {schema}.store_state WHERE only_row = 1
