SELECT v.record_count = c.record_count
FROM collection_versions AS v
JOIN collections AS c ON c.collection_id = v.collection_id
WHERE v.version_id = $1
