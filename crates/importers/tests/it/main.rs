//! What legacy stores yield, and what damaged ones do not.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod chroma;
mod chroma_http;
mod faiss;
mod harness;
mod vectors;
