//! PostgreSQL.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt};
use storage_core::{EmbeddingStore, Generation, SchemaStatus, StoreError};
use storage_postgres::{PasswordFile, PostgresOptions, TargetSession};

use super::{Access, Opening};
use crate::settings::{PostgresPlace, Said};

pub(crate) async fn open(
    place: &PostgresPlace,
    opening: Opening,
) -> Result<Arc<dyn EmbeddingStore>, StoreError> {
    let options = options(place)?
        .with_dimensions(opening.dimensions)
        .with_wait(opening.wait)
        .with_writer(opening.writer);
    Ok(Arc::new(match opening.access {
        Access::Read | Access::Stay => storage_postgres::open_read_only(&options).await?,
        Access::Write => storage_postgres::open(&options).await?,
        Access::Turns => storage_postgres::open_taking_turns(&options).await?,
        Access::Create => storage_postgres::create_or_open(&options).await?,
    }))
}

pub(crate) async fn schema_status(place: &PostgresPlace) -> Result<SchemaStatus, StoreError> {
    storage_postgres::schema_status(&options(place)?).await
}

/// The store's generations as they come to be.
#[allow(dead_code, reason = "a build without the service follows nothing")]
pub(crate) fn watch(place: &PostgresPlace, every: Duration) -> BoxStream<'static, Generation> {
    // What is wrong with the settings is said when the store is opened.
    options(place).map_or_else(
        |_| stream::pending().boxed(),
        |options| storage_postgres::watch(options, every),
    )
}

/// Who changes the store at this moment. A server that cannot be asked says nothing.
pub(crate) async fn writer(place: &PostgresPlace) -> Option<String> {
    let options = options(place).ok()?;
    storage_postgres::writer(&options).await.ok().flatten()
}

/// How the server is reached. An error names the setting.
pub(super) fn options(place: &PostgresPlace) -> Result<PostgresOptions, StoreError> {
    let mut options = PostgresOptions::new().with_pool_size(place.pool_size);
    if let Some(text) = &place.passwords {
        options = options.with_password_file(PasswordFile::parse(text));
    }
    for said in &place.said {
        options = say(options, said)?;
    }
    // What the primary has to be, a replica is not.
    let replica = options.clone().with_target_session(TargetSession::Any);
    let read_urls = place
        .read_urls
        .iter()
        .map(|said| say(replica.clone(), said))
        .collect::<Result<_, _>>()?;
    Ok(options.with_read_urls(read_urls))
}

/// The place as a person writes it, without a password.
pub(crate) fn describe(place: &PostgresPlace) -> String {
    options(place).map_or_else(|_| "postgres".to_owned(), |options| options.describe())
}

fn say(options: PostgresOptions, said: &Said) -> Result<PostgresOptions, StoreError> {
    let (read, origin) = match said {
        Said::Word(word, value, origin) => (options.with_parameter(word, value), origin),
        Said::Url(url, origin) => (options.with_url(url), origin),
    };
    read.map_err(|error| {
        let message = format!("{error} ({origin})");
        StoreError::new(error.kind(), error.operation(), message)
    })
}
