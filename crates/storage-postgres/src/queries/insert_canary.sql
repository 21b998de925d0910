INSERT INTO canaries (space_id, input_text, embedding)
SELECT $1, $2, $3::real[]::vector
WHERE NOT EXISTS (SELECT 1 FROM canaries WHERE space_id = $1 AND input_text = $2)
