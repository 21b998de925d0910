//! Reads the rows of a PostgreSQL table or query as a source: the one source that holds a driver.
