UPDATE embedding_records AS r SET locator_sheet = m.sheet, locator_row = m.row, locator_page = m.page,
    locator_start = m.first, locator_end = m.last, place_guard = m.guard
FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
    AS m (record_id, sheet, row, page, first, last, guard)
WHERE r.record_id = m.record_id
