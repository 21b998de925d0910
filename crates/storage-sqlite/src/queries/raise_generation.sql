UPDATE store_state SET generation = generation + 1 WHERE only_row = 1 RETURNING generation
