-- What passes out of a rollback's reach.
UPDATE collection_versions SET state = 'retired'
WHERE version_id = $1 AND NOT EXISTS (
    SELECT 1 FROM collections AS c
    WHERE c.collection_id = $2 AND (c.active_version_id = $1 OR c.previous_version_id = $1))
