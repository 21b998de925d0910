//! What fuzzing does to one input of each kind. The fuzz targets, the replay of their corpora and the seeded mutations
//! in `tests/` all call these functions, so that a crash that was found once is tested by everybody ever after.
//!
//! Each function takes any bytes and fails by panicking. Whether the product can make sense of the bytes is its
//! business; what is asked here is that it says so in order.

#![allow(
    clippy::missing_panics_doc,
    reason = "a function of this crate fails by panicking: that is what a finding is"
)]

mod corpus;
mod document;
mod import;
pub mod mutate;
mod panics;
mod settings;
mod source;
mod store;

pub use corpus::{Target, inputs};
pub use document::{docx, html, markdown, pdf};
pub use import::{faiss, hnsw, metadata, npy, pickle};
pub use panics::{is_contained, own_panics, watch_panics};
pub use settings::settings;
pub use source::{csv, jsonl, xlsx};
pub use store::sqlite_open;
