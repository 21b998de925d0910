-- A connection that writes: every commit reaches the disk, because what it holds was paid for. Nothing is mapped: an
-- I/O error on a mapped page is a signal, not an error code.
PRAGMA foreign_keys = ON;
PRAGMA trusted_schema = OFF;
PRAGMA cell_size_check = ON;
PRAGMA synchronous = FULL;
PRAGMA mmap_size = 0;
PRAGMA cache_size = -8192;
PRAGMA journal_size_limit = 67108864;
