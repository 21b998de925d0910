-- Vectors that this version alone refers to.
SELECT DISTINCT i.vector_id
FROM record_inputs AS i
WHERE i.version_id = $1
    AND NOT EXISTS (SELECT 1 FROM record_inputs AS o WHERE o.vector_id = i.vector_id AND o.version_id <> $1)
