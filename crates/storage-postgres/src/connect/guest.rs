//! A session for somebody who wants something else of a server than a store: reached by the same rules, set to nothing.

use std::fmt;

use storage_core::StoreError;
use tokio_postgres::Client;

use super::{Session, connect_once};
use crate::options::PostgresOptions;

/// A connection that ends when this is dropped.
pub struct Guest {
    /// Ask here.
    pub client: Client,
    /// Keeps the connection.
    pub line: Box<dyn std::any::Any + Send>,
}

impl fmt::Debug for Guest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guest").finish_non_exhaustive()
    }
}

/// Connects, and asks nothing: no schema is looked for, no setting made.
///
/// # Errors
/// As for a store: the step that failed, the place, the reason and what to do.
pub async fn connect_as_guest(options: &PostgresOptions) -> Result<Guest, StoreError> {
    let Session {
        client,
        notifications,
        task,
        _end: end,
    } = connect_once(options).await?;
    // Whoever listens to the server's words keeps the connection from being told to go.
    Ok(Guest {
        client,
        line: Box::new((notifications, task, end)),
    })
}
