SELECT store_id, generation FROM store_state WHERE only_row = 1
