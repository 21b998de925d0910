INSERT INTO canaries (space_id, input_text, embedding) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING
