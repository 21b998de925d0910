-- Who answers, and how it is spoken to.
SELECT
    current_setting('server_version') AS version,
    (SELECT encryption.version
       FROM pg_catalog.pg_stat_ssl AS encryption
      WHERE encryption.pid = pg_catalog.pg_backend_pid() AND encryption.ssl) AS tls,
    pg_catalog.pg_is_in_recovery() AS standby
