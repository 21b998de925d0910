INSERT INTO embedding_records (collection_id, document, chunk, source_id, run_id, created_at, updated_at, record_hash,
    place_guard, locator_sheet, locator_row, locator_page, locator_start, locator_end, category, subcategory, title,
    body, metadata)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)
