-- A run that rows or vectors name and nothing else is known of.
INSERT INTO runs (run_id, id) VALUES (?1, ?2)
