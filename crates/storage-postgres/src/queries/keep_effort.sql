UPDATE vector_indexes SET ef_search = $2, max_scan_tuples = $3, tuning = $4 WHERE space_id = $1
