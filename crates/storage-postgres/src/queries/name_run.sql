-- An update that changes nothing returns the row that is there.
INSERT INTO runs (id) VALUES ($1) ON CONFLICT (id) DO UPDATE SET id = excluded.id RETURNING run_id
