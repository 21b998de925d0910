-- Every reference of a version: what a store with one collection needs to know whether a row lacks its vector.
SELECT count(*) FROM record_inputs WHERE version_id = ?1
