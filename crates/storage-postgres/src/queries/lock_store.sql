SELECT generation FROM store_state WHERE only_row = 1 FOR UPDATE
