-- A connection that reads. Nothing is mapped: with cell_size_check on, a mapped file was read more than twice as
-- slowly, and a damaged one would be a signal.
PRAGMA query_only = ON;
PRAGMA trusted_schema = OFF;
PRAGMA cell_size_check = ON;
PRAGMA mmap_size = 0;
PRAGMA cache_size = -8192;
