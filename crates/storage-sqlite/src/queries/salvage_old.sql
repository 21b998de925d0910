-- What schema 1 would have gone back to, where none of it was made by the recipe that is known: nobody can tell the
-- right one, so it is forgotten, as an upgrade forgets it.
UPDATE collections SET previous_version_id = NULL
    WHERE previous_version_id NOT IN (SELECT version_id FROM record_inputs);
DELETE FROM collection_versions WHERE version_id NOT IN (SELECT version_id FROM record_inputs)
    AND version_id NOT IN (SELECT active_version_id FROM collections WHERE active_version_id IS NOT NULL);
