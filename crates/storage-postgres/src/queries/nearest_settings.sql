-- The conversion loads the extension's library: its settings are unknown before. NULL below version 0.8.0.
SELECT vector_dims($1::real[]::vector), current_setting('hnsw.iterative_scan', true)
