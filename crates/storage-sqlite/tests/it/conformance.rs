//! The suite, over a file and in memory.

use async_trait::async_trait;
use storage_core::EmbeddingStore;
use storage_core::testing::Harness;
use storage_sqlite::{SqliteOptions, SqliteStore};
use tempfile::TempDir;

pub(crate) struct File {
    store: Option<SqliteStore>,
    options: SqliteOptions,
    _directory: TempDir,
}

#[async_trait]
impl Harness for File {
    async fn fresh() -> Self {
        let directory = tempfile::tempdir().unwrap();
        // A name with everything a URI or a shell would choke on.
        let path = directory.path().join("with space?&%41#/база.db");
        let options = SqliteOptions::file(path).with_dimensions(Some(8));
        Self {
            store: Some(storage_sqlite::create_or_open(&options).unwrap()),
            options,
            _directory: directory,
        }
    }

    fn store(&self) -> &dyn EmbeddingStore {
        self.store.as_ref().unwrap()
    }

    async fn reopen(mut self) -> Self {
        drop(self.store.take());
        self.store = Some(storage_sqlite::open(&self.options).unwrap());
        self
    }
}

pub(crate) struct Memory(SqliteStore);

#[async_trait]
impl Harness for Memory {
    async fn fresh() -> Self {
        Self(storage_sqlite::open_in_memory().unwrap())
    }

    fn store(&self) -> &dyn EmbeddingStore {
        &self.0
    }

    async fn reopen(self) -> Self {
        self
    }
}

mod file {
    storage_core::store_conformance!(super::File);
}

mod memory {
    storage_core::store_conformance!(super::Memory);
}
