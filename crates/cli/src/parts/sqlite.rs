//! SQLite.

use std::path::Path;
use std::sync::Arc;

use storage_core::{EmbeddingStore, SchemaStatus, StoreError};
use storage_sqlite::SqliteOptions;

use super::{Access, Opening};

pub(crate) fn open(path: &Path, opening: Opening) -> Result<Arc<dyn EmbeddingStore>, StoreError> {
    let options = SqliteOptions::file(path)
        .with_dimensions(opening.dimensions)
        .with_busy_timeout(opening.wait)
        .with_writer(opening.writer);
    Ok(Arc::new(match opening.access {
        Access::Read => storage_sqlite::open_read_only(&options)?,
        Access::Write => storage_sqlite::open(&options)?,
        Access::Create => storage_sqlite::create_or_open(&options)?,
    }))
}

pub(crate) fn open_in_memory(_opening: Opening) -> Result<Arc<dyn EmbeddingStore>, StoreError> {
    Ok(Arc::new(storage_sqlite::open_in_memory()?))
}

/// Who changes the store at this moment.
pub(crate) fn writer(path: &Path) -> Option<String> {
    storage_sqlite::writer(path)
}

pub(crate) fn schema_status(path: &Path) -> Result<SchemaStatus, StoreError> {
    storage_sqlite::schema_status(&SqliteOptions::file(path))
}

pub(crate) fn version() -> Result<&'static str, StoreError> {
    storage_sqlite::sqlite_version()
}

pub(crate) fn fresh_schema() -> Result<SchemaStatus, StoreError> {
    storage_sqlite::schema_status(&SqliteOptions::memory())
}
