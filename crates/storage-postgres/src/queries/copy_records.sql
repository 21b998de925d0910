COPY embedding_records (record_id, collection_id, source_id, run_id, created_at, updated_at, record_hash, place_guard,
    document, chunk, locator_sheet, locator_row, locator_page, locator_start, locator_end, category, subcategory, title,
    body, metadata)
FROM STDIN (FORMAT binary)
