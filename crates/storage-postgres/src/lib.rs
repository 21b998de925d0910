//! The PostgreSQL and pgvector backend.
