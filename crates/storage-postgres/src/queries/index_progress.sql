-- Tuples are counted while the graph is made, blocks while the table is read again.
SELECT phase, CASE WHEN tuples_total > 0 THEN tuples_done ELSE blocks_done END,
    CASE WHEN tuples_total > 0 THEN tuples_total ELSE blocks_total END
FROM pg_stat_progress_create_index WHERE pid = $1
