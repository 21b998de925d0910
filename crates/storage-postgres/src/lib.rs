//! The PostgreSQL and pgvector backend.

mod connect;
mod options;

pub use connect::{Extension, Server, examine};
pub use options::{
    ConnectMode, DEFAULT_PORT, DEFAULT_SCHEMA, PasswordFile, PostgresOptions, RootCertificates,
    SslMode, TargetSession,
};
