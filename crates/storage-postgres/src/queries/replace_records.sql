UPDATE embedding_records AS r SET source_id = s.source_id, run_id = s.run_id, created_at = s.created_at, updated_at = s.updated_at,
    record_hash = s.record_hash, place_guard = s.place_guard, locator_sheet = s.locator_sheet,
    locator_row = s.locator_row, locator_page = s.locator_page, locator_start = s.locator_start,
    locator_end = s.locator_end, category = s.category, subcategory = s.subcategory, title = s.title, body = s.body,
    metadata = s.metadata
FROM pg_temp.staged_records AS s
WHERE r.record_id = s.record_id
