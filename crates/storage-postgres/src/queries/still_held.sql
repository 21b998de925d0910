-- The transaction's number, the server's timeline, whether this very session has the lock (behind a proxy that pools
-- transactions it may be somebody else's), and since when the server has counted.
SELECT pg_current_xact_id()::text, substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8),
    EXISTS (SELECT 1 FROM pg_catalog.pg_locks AS l
        WHERE l.locktype = 'advisory' AND l.classid::bigint = $1 AND l.objid::bigint = $2 AND l.objsubid = 2 AND l.granted
            AND l.pid = pg_backend_pid()),
    (SELECT stats_reset::text FROM pg_catalog.pg_stat_bgwriter)
