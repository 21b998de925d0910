WITH raised AS (UPDATE store_state SET generation = generation + 1 WHERE only_row = 1 RETURNING generation)
SELECT generation, pg_notify('smart_support', current_schema() || ' ' || generation) FROM raised
