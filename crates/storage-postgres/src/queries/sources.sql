SELECT s.id, s.kind, s.location
FROM sources AS s
JOIN collections AS c ON c.collection_id = s.collection_id
WHERE c.name = $1 AND s.kind IS NOT NULL
ORDER BY s.id
