-- Few columns: at ten thousand rows each costs as much as the join. The hashes are one value: of the row, of its text, and
-- of an imported vector, as many as there are; none for a row that was written by SQL. In no order: sorting here costs
-- more than sorting what has come.
SELECT r.document, r.chunk, r.source_id, r.record_hash || coalesce(i.input_hash || i.variant, ''), r.locator_sheet,
    r.locator_row, r.locator_page, r.locator_start, r.locator_end
FROM embedding_records AS r
LEFT JOIN record_inputs AS i ON i.record_id = r.record_id AND i.version_id = $2
WHERE r.collection_id = $1
