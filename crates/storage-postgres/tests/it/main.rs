//! Tests on a real server, named by `TEST_DATABASE_URL`.

mod conformance;
mod connect;
mod server;
