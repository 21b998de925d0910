-- Text, whichever protocol asks: 'on' or 'off'.
SELECT
    CASE WHEN pg_catalog.pg_is_in_recovery() THEN 'on' ELSE 'off' END AS standby,
    pg_catalog.current_setting('transaction_read_only') AS read_only
