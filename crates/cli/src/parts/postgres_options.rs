//! What was said about a PostgreSQL server, as the backend understands it.

use storage_core::StoreError;
use storage_postgres::{PasswordFile, PostgresOptions};

use crate::settings::{PostgresPlace, Said};

/// How the server is reached. An error names the setting.
pub(crate) fn options(place: &PostgresPlace) -> Result<PostgresOptions, StoreError> {
    let mut options = PostgresOptions::new().with_pool_size(place.pool_size);
    if let Some(text) = &place.passwords {
        options = options.with_password_file(PasswordFile::parse(text));
    }
    for said in &place.said {
        options = say(options, said)?;
    }
    let read_urls = place
        .read_urls
        .iter()
        .map(|said| say(options.clone(), said))
        .collect::<Result<_, _>>()?;
    Ok(options.with_read_urls(read_urls))
}

/// What is wrong with the words, before anybody connects.
pub(crate) fn mistake(place: &PostgresPlace) -> Option<StoreError> {
    options(place).err()
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
