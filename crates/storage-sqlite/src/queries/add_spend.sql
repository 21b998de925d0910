UPDATE runs SET requests = requests + ?2, texts = texts + ?3, tokens = tokens + ?4 WHERE run_id = ?1
