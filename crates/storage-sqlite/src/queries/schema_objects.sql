-- Quoted, so that text that has become a blob of the same bytes differs.
SELECT name, quote(type) || quote(tbl_name) || quote(sql) FROM sqlite_schema
