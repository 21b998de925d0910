//! A build without PostgreSQL: the words that were said are nobody's to read.

use storage_core::StoreError;

use crate::settings::PostgresPlace;

/// The backend's name: what was said about the server is not understood here.
pub(crate) fn describe(_: &PostgresPlace) -> String {
    "postgres".to_owned()
}

/// What is wrong with the words: nobody knows.
pub(crate) fn mistake(_: &PostgresPlace) -> Option<StoreError> {
    None
}
