-- How the transaction $1 ended, on which timeline, and since when the server has counted: a crash begins anew.
SELECT pg_xact_status($1::xid8), substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8),
    (SELECT stats_reset::text FROM pg_catalog.pg_stat_bgwriter)
