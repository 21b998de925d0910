//! What the backend promises beyond the suite, and the suite.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "these are tests, helpers included"
)]

mod beside;
mod chaos;
mod conformance;
mod damage;
mod model;
mod places;
mod schema;
mod undo;
mod watch;
mod whole;
mod writers;
