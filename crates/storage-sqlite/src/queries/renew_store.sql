UPDATE store_state SET store_id = lower(hex(randomblob(16))) WHERE only_row = 1
