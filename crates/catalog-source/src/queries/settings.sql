-- What reading depends on, for this transaction only: the session may be somebody else's afterwards, as behind pgbouncer.
-- Times and numbers are written one way, whatever the role or the database prefer.
SET LOCAL statement_timeout = '300s';
SET LOCAL lock_timeout = '10s';
SET LOCAL idle_in_transaction_session_timeout = '300s';
SET LOCAL DateStyle = 'ISO, YMD';
SET LOCAL IntervalStyle = 'iso_8601';
SET LOCAL TimeZone = 'UTC';
SET LOCAL extra_float_digits = 1;
-- Every row is wanted, not the first ones soon.
SET LOCAL cursor_tuple_fraction = 1;
SET LOCAL jit = off;
