//! The stores under test. A further backend is a further [`Subject`] and one more test in the module above.

use std::path::{Path, PathBuf};
use std::time::Duration;

use storage_core::{EmbeddingStore, MemoryStore};
use storage_sqlite::{SqliteOptions, SqliteStore};
use tempfile::TempDir;

/// One store, and what can be done to it from outside.
pub(super) trait Subject: Sized {
    /// A new, empty one.
    fn new() -> Self;

    /// The store.
    fn store(&self) -> &dyn EmbeddingStore;

    /// Closes it and opens it again, where there is something to open.
    fn reopen(&mut self) {}

    /// A second view of it for reading only, where there can be one.
    fn beside(&self) -> Option<Box<dyn EmbeddingStore>> {
        None
    }

    /// Rewrites it, as an operator may with the database's own tools, where there are some.
    fn compact(&self) {}

    /// Whether it takes up room on a disk.
    fn on_disk(&self) -> bool {
        false
    }
}

impl Subject for MemoryStore {
    fn new() -> Self {
        MemoryStore::new()
    }

    fn store(&self) -> &dyn EmbeddingStore {
        self
    }
}

pub(super) struct InMemory(SqliteStore);

impl Subject for InMemory {
    fn new() -> Self {
        Self(storage_sqlite::open_in_memory().unwrap())
    }

    fn store(&self) -> &dyn EmbeddingStore {
        &self.0
    }
}

/// A file system in memory, where there is one. What survives a power cut is for other tests: here, waiting for a disk
/// thousands of times would only leave time for fewer lives.
fn memory_disk() -> Option<TempDir> {
    tempfile::tempdir_in(Path::new("/dev/shm")).ok()
}

pub(super) struct File {
    store: Option<SqliteStore>,
    options: SqliteOptions,
    path: PathBuf,
    _directory: TempDir,
}

impl Subject for File {
    fn new() -> Self {
        let directory = memory_disk().unwrap_or_else(|| tempfile::tempdir().unwrap());
        let path = directory.path().join("store.db");
        let options = SqliteOptions::file(&path).with_writer("the state machine");
        Self {
            store: Some(storage_sqlite::create_or_open(&options).unwrap()),
            options,
            path,
            _directory: directory,
        }
    }

    fn store(&self) -> &dyn EmbeddingStore {
        self.store.as_ref().unwrap()
    }

    fn reopen(&mut self) {
        drop(self.store.take());
        self.store = Some(storage_sqlite::open(&self.options).unwrap());
    }

    fn beside(&self) -> Option<Box<dyn EmbeddingStore>> {
        let reader = storage_sqlite::open_read_only(&SqliteOptions::file(&self.path)).unwrap();
        Some(Box::new(reader))
    }

    fn compact(&self) {
        let operator = rusqlite::Connection::open(&self.path).unwrap();
        operator.busy_timeout(Duration::from_secs(10)).unwrap();
        operator
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()))
            .unwrap();
        operator.execute_batch("VACUUM").unwrap();
    }

    fn on_disk(&self) -> bool {
        true
    }
}
