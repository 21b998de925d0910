DELETE FROM canaries WHERE space_id = $1
