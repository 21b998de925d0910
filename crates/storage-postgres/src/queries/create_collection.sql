INSERT INTO collections (name) VALUES ($1) ON CONFLICT (name) DO NOTHING
