//! Rows of a database as a source: the reader of the one crate, the connections of the other.

use std::sync::Arc;

use async_trait::async_trait;
use catalog_source::{CatalogOptions, CatalogSource, Connect, Connected, Relation};
use faq_source::{FaqSource, SourceError, SourceErrorKind, SourceOptions};
use storage_core::{StoreError, StoreErrorKind};
use storage_postgres::{PostgresOptions, connect_as_guest};

use super::postgres::options;
use crate::exit::Failure;
use crate::settings::RowsPlace;

pub(crate) use catalog_source::EMBED_TEXT;

/// Prepares the reader; nothing is asked yet.
pub(crate) fn open(rows: &RowsPlace, said: SourceOptions) -> Result<Box<dyn FaqSource>, Failure> {
    let relation = Relation::parse(&rows.sql)?;
    let server = options(&rows.server)?;
    Ok(Box::new(CatalogSource::new(CatalogOptions {
        connect: Arc::new(Server {
            options: server,
            origin: rows.server.origin(),
        }),
        relation,
        mapping: said.mapping,
        required_columns: said.required_columns,
    })))
}

/// A server, reached as a store in it would be.
#[derive(Debug)]
struct Server {
    options: PostgresOptions,
    /// Who named it.
    origin: String,
}

#[async_trait]
impl Connect for Server {
    fn describe(&self) -> String {
        self.options.describe()
    }

    async fn connect(&self) -> Result<Connected, SourceError> {
        let guest = connect_as_guest(&self.options)
            .await
            .map_err(|error| refused(error, &self.origin))?;
        Ok(Connected {
            client: guest.client,
            line: guest.line,
        })
    }
}

/// What keeps a store shut keeps its rows.
fn refused(error: StoreError, origin: &str) -> SourceError {
    let kind = match error.kind() {
        StoreErrorKind::Unavailable | StoreErrorKind::Busy => SourceErrorKind::Unavailable,
        _ => SourceErrorKind::Unreadable,
    };
    let message = format!("the source's database ({origin}) cannot be reached");
    SourceError::new(kind, message).with_source(error)
}
