//! PostgreSQL, in a build without it: the words that were said are nobody's to read.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt};
use storage_core::{EmbeddingStore, Generation, SchemaStatus, StoreError, StoreErrorKind};

use super::Opening;
use crate::settings::PostgresPlace;

pub(crate) async fn open(
    _: &PostgresPlace,
    _: Opening,
) -> Result<Arc<dyn EmbeddingStore>, StoreError> {
    Err(absent())
}

pub(crate) async fn schema_status(_: &PostgresPlace) -> Result<SchemaStatus, StoreError> {
    Err(absent())
}

pub(crate) async fn writer(_: &PostgresPlace) -> Option<String> {
    None
}

/// The backend's name: what was said about the server is not understood here.
pub(crate) fn describe(_: &PostgresPlace) -> String {
    "postgres".to_owned()
}

#[allow(dead_code, reason = "a build without the service follows nothing")]
pub(crate) fn watch(_: &PostgresPlace, _: Duration) -> BoxStream<'static, Generation> {
    stream::pending().boxed()
}

fn absent() -> StoreError {
    StoreError::new(
        StoreErrorKind::Unsupported,
        "open",
        "this build has no PostgreSQL backend (feature `postgres`); build it with: cargo build --release -p cli \
         --features postgres",
    )
}
