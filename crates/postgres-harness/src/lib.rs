//! PostgreSQL servers for tests and development: a cluster's life from `initdb` to removal.
//!
//! `cargo xtask test` finds the server's programs and starts one server for the whole run; tests that kill servers or
//! copy them start clusters of their own from the same programs. Both do it with this crate, which speaks no SQL over
//! the network and links next to nothing, so that `xtask` stays light. Unix only.

mod account;
mod certificates;
mod cluster;
mod lifeline;
mod pgbouncer;
mod process;
mod programs;
mod proxy;
mod run_directory;
mod skip;
mod test_server;

pub use account::is_root;
pub use certificates::Certificates;
pub use cluster::{Cluster, Durability, Options, PLAIN_ROLE, SUPERUSER, TEMPLATE, TLS_ROLE};
pub use pgbouncer::{Behind, Bouncer, BouncerProgram};
pub use process::{Shutdown, Tie, is_server_of};
pub use programs::{Facts, Programs, has_openssl};
pub use proxy::{COMMIT, Pace, Proxy, Then, Way, When};
pub use run_directory::{Fate, RunDirectory, fate, random};
pub use skip::skip;
pub use test_server::TestServer;
