//! The service over a store in memory, called without a socket.
#![allow(
    clippy::unwrap_used,
    reason = "a test says by panicking what went wrong"
)]

mod asking;
mod documents;
mod follow;
mod harness;
mod vectors;
