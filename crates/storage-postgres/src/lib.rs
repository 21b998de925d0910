//! The PostgreSQL and pgvector backend: a schema of a database, one session that writes, a pool that reads.
//!
//! [`open`] only checks: it never changes a schema. [`migrate`] does, and nothing else. What a store promises is written
//! down in [`storage_core::EmbeddingStore`]; how this one keeps it, in the modules below.

mod connect;
mod error;
mod holder;
mod index;
mod inside;
mod lock;
mod nearest;
mod open;
mod ops;
mod options;
mod own_session;
mod readers;
mod rows;
mod schema;
mod sql;
mod store;
mod streams;
mod tx;
mod upkeep;
mod watch;
mod wire;
mod writer;

pub use connect::{Extension, Guest, Server, Step, connect_as_guest, examine};
pub use open::{
    Migrated, create_or_open, migrate, open, open_read_only, open_taking_turns, schema_latest,
    schema_status, writer,
};
pub use options::{
    ConnectMode, DEFAULT_PORT, DEFAULT_SCHEMA, PasswordFile, PostgresOptions, RootCertificates,
    SslMode, TargetSession,
};
pub use store::PostgresStore;
pub use watch::watch;
