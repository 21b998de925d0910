DELETE FROM embedding_spaces WHERE space_id = $1
