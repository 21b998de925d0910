SELECT store_id FROM store_state WHERE only_row = 1
