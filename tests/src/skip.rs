//! Skips are loud, and forbidden where `cargo xtask test` runs.

pub use postgres_harness::skip;
