//! PostgreSQL for tests: a database of their own on the server of the run, or a server of their own to do away with.
//!
//! A test that needs either has `postgres` in its name or in its module's: further servers of a run get only those.

mod bouncer;
mod client;
mod database;
mod private_server;
mod role;

pub use client::Client;
pub use database::TestDatabase;
pub use postgres_harness::{
    Bouncer, COMMIT, Certificates, Durability, Options, PLAIN_ROLE, Pace, Programs, Proxy,
    SUPERUSER, Shutdown, TEMPLATE, TLS_ROLE, TestServer, Then, Way, When,
};
pub use private_server::PrivateServer;
pub use role::TestRole;

/// The server of this run; without one, skips loudly.
#[must_use]
pub fn server() -> Option<TestServer> {
    TestServer::from_environment()
}
