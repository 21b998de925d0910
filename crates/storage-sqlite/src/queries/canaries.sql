SELECT input_text, embedding FROM canaries WHERE space_id = ?1 ORDER BY input_text
