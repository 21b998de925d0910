-- What passes out of a rollback's reach.
UPDATE collection_versions SET state = 'retired'
WHERE version_id = ?1 AND version_id NOT IN (
    SELECT active_version_id FROM collections WHERE collection_id = ?2
    UNION SELECT previous_version_id FROM collections WHERE collection_id = ?2)
