//! Whether a session is ours alone. Behind a proxy that pools transactions it is not: a lock that is taken there is
//! anyone's, and what is set there, others find. Whoever locks, sets or listens asks here first.

use std::time::Duration;

use storage_core::StoreErrorKind;
use tokio_postgres::Client;

use crate::connect;
use crate::error::{Failure, Outcome};
use crate::open::patience;
use crate::options::{ConnectMode, PostgresOptions};
use crate::sql;
use crate::tx::within;

/// How often a session behind a proxy is looked at: other clients' traffic may hide what it does.
const LOOKS_AT_A_PROXY: u32 = 4;

/// Refuses a session that is shared, and sets one that is not. Two sessions of ours that are one on the server, or one
/// that is two, give the proxy away.
pub(crate) async fn require(client: &Client, options: &PostgresOptions) -> Outcome<()> {
    if options.mode == ConnectMode::Pooled {
        return Err(pooled(options));
    }
    let mut served_by = None;
    for _ in 0..LOOKS_AT_A_PROXY {
        let own = backend(client, patience(options)).await?;
        if *served_by.get_or_insert(own) != own {
            return Err(pooled(options));
        }
        let other = connect::connect_once(options).await?;
        let same = backend(&other.client, patience(options)).await? == own;
        other.close().await;
        if same {
            return Err(pooled(options));
        }
        if !looks_like_a_proxy(client, options).await? {
            break;
        }
    }
    // Not before: behind a proxy the next client would find it.
    let settings = connect::session_settings(options);
    within(patience(options), client.batch_execute(&settings)).await
}

/// The refusal.
pub(crate) fn pooled(options: &PostgresOptions) -> Failure {
    Failure::new(
        StoreErrorKind::Unsupported,
        "open",
        format!(
            "a proxy that pools transactions is in between: it hands the session to others, and with it the lock that \
             keeps writers apart; writing needs a direct connection or pool_mode=session, only reading works here: {}",
            options.describe()
        ),
    )
}

/// Whether the server's end of the connection is not where we connected to.
async fn looks_like_a_proxy(client: &Client, options: &PostgresOptions) -> Outcome<bool> {
    let asked = client.query_typed(sql::SERVER_PORT, &[]);
    let rows = within(patience(options), asked).await?;
    let port: Option<i32> = match rows.first() {
        Some(row) => row.try_get(0)?,
        None => None,
    };
    Ok(port.is_none_or(|port| {
        let mut endpoints = options.endpoints.iter();
        !endpoints.any(|endpoint| i32::from(endpoint.port) == port)
    }))
}

async fn backend(client: &Client, patience: Duration) -> Outcome<i32> {
    let rows = within(patience, client.query_typed(sql::BACKEND, &[])).await?;
    let row = rows
        .first()
        .ok_or_else(|| Failure::corrupt("open", "the server does not say who serves us"))?;
    Ok(row.try_get(0)?)
}
