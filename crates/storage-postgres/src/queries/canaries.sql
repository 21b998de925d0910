SELECT input_text, vector_send(embedding) FROM canaries WHERE space_id = $1 ORDER BY input_text
