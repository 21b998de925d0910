UPDATE embedding_records SET locator_sheet = ?2, locator_row = ?3, locator_page = ?4, locator_start = ?5,
    locator_end = ?6, place_guard = ?7
WHERE record_id = ?1
