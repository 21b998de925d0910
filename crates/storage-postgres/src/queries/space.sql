SELECT space_id, dimensions, canaries_checked_at FROM embedding_spaces WHERE id = $1
