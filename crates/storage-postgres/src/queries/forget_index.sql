DELETE FROM vector_indexes WHERE space_id = $1
