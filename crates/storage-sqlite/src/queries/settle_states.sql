-- What is served is ready; what only a rollback would serve is retired.
UPDATE embedding_versions SET state =
    CASE WHEN version_id IN (SELECT active_version_id FROM collections) THEN 'ready' ELSE 'retired' END
WHERE version_id IN (
    SELECT active_version_id FROM collections UNION SELECT previous_version_id FROM collections)
