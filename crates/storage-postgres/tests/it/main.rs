//! Tests on a real server, named by `TEST_DATABASE_URL`.

#![allow(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod conformance;
mod connect;
mod faults;
mod nearest;
mod neighbours;
mod server;
mod sql_surface;
mod watch;
