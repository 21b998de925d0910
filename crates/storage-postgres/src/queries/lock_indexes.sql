-- Of the schema that the session works in; gone with the session.
SELECT pg_try_advisory_lock(hashtextextended('smart-support index ' || current_schema(), 0))
