UPDATE collections SET generation = generation + 1, recipe = ?2, record_count = record_count + ?3,
    document_count = document_count + ?4
WHERE collection_id = ?1
RETURNING generation
