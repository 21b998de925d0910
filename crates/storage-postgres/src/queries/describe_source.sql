UPDATE sources SET kind = $2, location = $3 WHERE source_id = $1
