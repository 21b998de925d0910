//! A look at a server for a person: what answers there, how it is spoken to, and whether a store can be in it.

use storage_core::StoreError;
use tokio_postgres::SimpleQueryMessage;

use super::{Extension, ExtensionState, answered, connect_once, extension_state};
use crate::options::PostgresOptions;

/// A server that was reached and let us in.
#[derive(Debug)]
#[non_exhaustive]
pub struct Server {
    /// PostgreSQL's version, as it says it.
    pub version: String,
    /// The version of TLS on this connection; none on a socket, or where it is not asked for.
    pub tls: Option<String>,
    /// Whether the server is a standby, which takes no writes.
    pub standby: bool,
    /// pgvector; `None` where it is not there yet and migrating creates it.
    pub extension: Result<Option<Extension>, StoreError>,
}

/// Connects once, looks, and leaves. Nothing is changed. The error names the step that failed.
pub async fn examine(options: &PostgresOptions) -> Result<Server, StoreError> {
    let session = connect_once(options).await?;
    let question = session
        .client
        .simple_query(include_str!("../queries/server.sql"));
    let answer = answered(options, question).await?;
    let text = |column: &str| {
        answer.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                row.try_get(column).ok().flatten().map(ToOwned::to_owned)
            }
            _ => None,
        })
    };
    let extension = match extension_state(&session.client, options).await {
        Ok(ExtensionState::Installed(extension)) => Ok(Some(extension)),
        Ok(ExtensionState::Creatable { .. }) => Ok(None),
        Err(error) => Err(error),
    };
    let server = Server {
        version: text("version").unwrap_or_default(),
        tls: text("tls"),
        standby: text("standby").as_deref() == Some("t"),
        extension,
    };
    session.close().await;
    Ok(server)
}
