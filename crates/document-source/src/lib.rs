//! Reads documents that are kept in chunks.

pub mod metadata;
