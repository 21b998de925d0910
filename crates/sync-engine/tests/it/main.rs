//! Syncs over the reference store: what is sent, what is applied, what is refused.
#![allow(
    clippy::unwrap_used,
    reason = "a test says by panicking what went wrong"
)]

mod copy;
mod documents;
mod identity;
mod import;
mod spending;
mod takeover;
mod time;
mod world;
