-- Takes the vectors of rows away, and tells how many of each version those were.
WITH gone AS (DELETE FROM record_inputs WHERE record_id = ANY ($1) RETURNING version_id)
SELECT version_id, count(*) FROM gone GROUP BY version_id
