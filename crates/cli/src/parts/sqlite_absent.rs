//! SQLite, in a build without it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt};
use storage_core::{
    CopyReport, EmbeddingStore, Generation, RepairReport, SchemaStatus, StoreError, StoreErrorKind,
    Timestamp,
};

use super::Opening;

pub(crate) fn open(_path: &Path, _opening: Opening) -> Result<Arc<dyn EmbeddingStore>, StoreError> {
    Err(absent())
}

pub(crate) fn open_in_memory(_opening: Opening) -> Result<Arc<dyn EmbeddingStore>, StoreError> {
    Err(absent())
}

pub(crate) fn writer(_path: &Path) -> Option<String> {
    None
}

pub(crate) fn schema_status(_path: &Path) -> Result<SchemaStatus, StoreError> {
    Err(absent())
}

pub(crate) fn version() -> Result<&'static str, StoreError> {
    Err(absent())
}

pub(crate) fn fresh_schema() -> Result<SchemaStatus, StoreError> {
    Err(absent())
}

pub(crate) fn backup(
    _path: &Path,
    _opening: &Opening,
    _target: &Path,
    _verify: bool,
    _overwrite: bool,
) -> Result<CopyReport, StoreError> {
    Err(absent())
}

pub(crate) fn restore(
    _path: &Path,
    _opening: &Opening,
    _backup: &Path,
    _overwrite: bool,
    _at: Timestamp,
) -> Result<CopyReport, StoreError> {
    Err(absent())
}

pub(crate) fn repair(
    _path: &Path,
    _opening: &Opening,
    _dry_run: bool,
    _drop_unembedded: bool,
    _at: Timestamp,
) -> Result<RepairReport, StoreError> {
    Err(absent())
}

#[allow(dead_code, reason = "a build without the service follows nothing")]
pub(crate) fn watch(_: &Path, _: Duration) -> BoxStream<'static, Generation> {
    stream::pending().boxed()
}

fn absent() -> StoreError {
    StoreError::new(
        StoreErrorKind::Unsupported,
        "open",
        "this build has no SQLite backend (feature `sqlite`); build it with: cargo build --release -p cli --features sqlite",
    )
}
