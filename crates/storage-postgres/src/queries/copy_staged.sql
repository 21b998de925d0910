COPY pg_temp.staged_records FROM STDIN (FORMAT binary)
