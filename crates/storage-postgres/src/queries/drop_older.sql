-- The same for rows in one version each.
WITH gone AS (
    DELETE FROM record_inputs AS i
    USING unnest($1::bigint[], $2::bigint[]) AS k (record_id, version_id)
    WHERE i.record_id = k.record_id AND i.version_id = k.version_id
    RETURNING i.version_id)
SELECT version_id, count(*) FROM gone GROUP BY version_id
