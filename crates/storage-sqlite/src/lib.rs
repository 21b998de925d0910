//! The SQLite backend: one file, one writer's thread, any number of readers.
//!
//! [`open`] only checks: it never creates a file and never changes a schema. [`migrate`] does both, and nothing else
//! does. [`open_read_only`] leaves no trace beside the file. What a store promises is written down in
//! [`storage_core::EmbeddingStore`]; how this one keeps it, in the modules below.

mod carried;
mod connection;
mod copy;
mod descriptors;
mod error;
mod header;
mod lock;
mod log;
mod open;
mod ops;
mod options;
mod page_size;
mod partial;
mod reader;
mod readers;
mod repair;
mod replace;
mod rows;
mod salvage;
mod schema;
mod sql;
mod store;
mod watch;
mod worker;

pub use connection::sqlite_version;
pub use copy::{backup, restore};
pub use lock::{WriterLock, writer};
pub use open::{
    create_or_open, migrate, open, open_in_memory, open_read_only, open_taking_turns,
    schema_latest, schema_status,
};
pub use options::{Migrated, Place, SqliteOptions};
pub use repair::{RepairOptions, repair};
pub use store::SqliteStore;
pub use watch::watch;
