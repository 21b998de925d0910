-- What is read row by row takes as long as whoever reads it; silence is noticed between two rows.
SET LOCAL statement_timeout = 0;
SET LOCAL enable_sort = off;
SET LOCAL enable_hashjoin = off;
SET LOCAL enable_mergejoin = off;
SET LOCAL max_parallel_workers_per_gather = 0
