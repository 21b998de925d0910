-- What a version has, against what was counted.
SELECT count(*) FROM record_inputs AS i WHERE i.version_id = $1
