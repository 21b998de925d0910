UPDATE embedding_records SET source_id = ?2, run_id = ?3, updated_at = ?4, record_hash = ?5, locator_sheet = ?6,
    locator_row = ?7, locator_page = ?8, locator_start = ?9, locator_end = ?10, category = ?11, subcategory = ?12,
    title = ?13, body = ?14, metadata = ?15, place_guard = ?16, created_at = ?17
WHERE record_id = ?1
