//! Reads documents that are kept in chunks.
