//! SQLite.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::BoxStream;
use storage_core::{
    CopyReport, EmbeddingStore, Generation, RepairReport, SchemaStatus, StoreError, Timestamp,
};
use storage_sqlite::{RepairOptions, SqliteOptions};

use super::{Access, Opening};

pub(crate) fn open(path: &Path, opening: Opening) -> Result<Arc<dyn EmbeddingStore>, StoreError> {
    let options = options(path, &opening);
    Ok(Arc::new(match opening.access {
        Access::Read => storage_sqlite::open_read_only(&options)?,
        Access::Stay => storage_sqlite::open_read_only(&options.staying())?,
        Access::Write => storage_sqlite::open(&options)?,
        Access::Turns => storage_sqlite::open_taking_turns(&options)?,
        Access::Create => storage_sqlite::create_or_open(&options)?,
    }))
}

pub(crate) fn open_in_memory(_opening: Opening) -> Result<Arc<dyn EmbeddingStore>, StoreError> {
    Ok(Arc::new(storage_sqlite::open_in_memory()?))
}

/// The store's generations as they come to be.
#[allow(dead_code, reason = "a build without the service follows nothing")]
pub(crate) fn watch(path: &Path, every: Duration) -> BoxStream<'static, Generation> {
    storage_sqlite::watch(SqliteOptions::file(path), every)
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

pub(crate) fn backup(
    path: &Path,
    opening: &Opening,
    target: &Path,
    verify: bool,
    overwrite: bool,
) -> Result<CopyReport, StoreError> {
    storage_sqlite::backup(&options(path, opening), target, verify, overwrite)
}

pub(crate) fn restore(
    path: &Path,
    opening: &Opening,
    backup: &Path,
    overwrite: bool,
    at: Timestamp,
) -> Result<CopyReport, StoreError> {
    storage_sqlite::restore(&options(path, opening), backup, overwrite, at)
}

pub(crate) fn repair(
    path: &Path,
    opening: &Opening,
    dry_run: bool,
    drop_unembedded: bool,
    at: Timestamp,
) -> Result<RepairReport, StoreError> {
    let how = RepairOptions {
        dry_run,
        drop_unembedded,
    };
    storage_sqlite::repair(&options(path, opening), how, at)
}

fn options(path: &Path, opening: &Opening) -> SqliteOptions {
    SqliteOptions::file(path)
        .with_dimensions(opening.dimensions)
        .with_busy_timeout(opening.wait)
        .with_writer(opening.writer.clone())
}
