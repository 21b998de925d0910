-- An update that changes nothing returns the row that is there.
INSERT INTO sources (collection_id, id) VALUES ($1, $2)
ON CONFLICT (collection_id, id) DO UPDATE SET id = excluded.id
RETURNING source_id
