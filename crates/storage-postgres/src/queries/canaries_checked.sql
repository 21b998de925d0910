UPDATE embedding_spaces SET canaries_checked_at = $2 WHERE space_id = $1
