-- Collections in which runs have replaced something.
SELECT c.collection_id, c.name FROM collections AS c
WHERE c.collection_id IN (SELECT u.collection_id FROM run_undo AS u WHERE u.replaced IS NOT NULL)
