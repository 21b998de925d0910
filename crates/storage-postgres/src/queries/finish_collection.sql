UPDATE collections SET generation = generation + 1, record_count = record_count + $2,
    document_count = document_count + $3
WHERE collection_id = $1
RETURNING generation
