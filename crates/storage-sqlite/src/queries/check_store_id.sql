SELECT length(store_id) = 32 AND store_id NOT GLOB '*[^0-9a-f]*' FROM store_state WHERE only_row = 1
