-- A connection that writes: every commit reaches the disk, because what it holds was paid for. Nothing is mapped: an
-- I/O error on a mapped page is a signal, not an error code. What a statement may have to undo stays in memory: it is
-- small, and in a temporary file it would be people's texts, elsewhere, on a disk that may be full.
PRAGMA foreign_keys = ON;
PRAGMA trusted_schema = OFF;
PRAGMA cell_size_check = ON;
PRAGMA synchronous = FULL;
PRAGMA mmap_size = 0;
PRAGMA temp_store = MEMORY;
PRAGMA cache_size = -8192;
PRAGMA journal_size_limit = 67108864;
