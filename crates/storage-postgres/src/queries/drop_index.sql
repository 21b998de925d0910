SELECT format('DROP INDEX CONCURRENTLY IF EXISTS %I.%I', current_schema(), $1)
