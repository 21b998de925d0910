//! One writer: an advisory lock of the session that writes, so that it goes away with its holder, however that ends.
//!
//! Advisory locks belong to a database. Two numbers name one: what it is for, and which store's it is. The holder's
//! words are in the session's application name, which everybody may read.

use std::time::Duration;

use storage_core::{StoreError, StoreErrorKind};
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use crate::error::{Failure, Outcome};
use crate::holder;
use crate::sql;
use crate::tx::within;

/// "SmSu" in ASCII: ours among the locks that other programs take.
const OURS: i32 = 0x536d_5375;

/// The second number of the lock that migrations take, whatever schema they are for: the extension is the database's.
pub(crate) const MIGRATING: Name = Name(OURS, 0);

/// A lock's two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Name(i32, i32);

impl Name {
    /// The right to change the store in a schema.
    pub(crate) fn writing(schema: &str) -> Self {
        Self(OURS + 1, digest(schema))
    }

    /// The right to build a version there: other writers come in between, another build does not.
    pub(crate) fn building(schema: &str) -> Self {
        Self(OURS + 2, digest(schema))
    }

    /// As the server's table of locks shows them.
    pub(crate) fn shown(self) -> (i64, i64) {
        (i64::from(self.0), i64::from(self.1.cast_unsigned()))
    }

    /// As the functions that lock take them.
    pub(crate) fn numbers(self) -> (i32, i32) {
        (self.0, self.1)
    }
}

fn digest(schema: &str) -> i32 {
    let hash = blake3::hash(schema.as_bytes());
    let [a, b, c, d, ..] = *hash.as_bytes();
    i32::from_le_bytes([a, b, c, d])
}

/// Takes the lock if nobody has it.
async fn try_take(client: &Client, name: Name, patience: Duration) -> Outcome<bool> {
    let numbers = [(&name.0 as _, Type::INT4), (&name.1 as _, Type::INT4)];
    let rows = within(patience, client.query_typed(sql::TRY_LOCK, &numbers)).await?;
    match rows.first() {
        Some(row) => Ok(row.try_get(0)?),
        None => Ok(false),
    }
}

/// Waits in the queue for the lock, as long as the session's `lock_timeout` allows.
async fn wait_for(client: &Client, name: Name, wait: Duration) -> Outcome<()> {
    let numbers = [(&name.0 as _, Type::INT4), (&name.1 as _, Type::INT4)];
    let answer = client.execute_typed(sql::TAKE_LOCK, &numbers);
    within(wait.saturating_add(Duration::from_secs(5)), answer).await?;
    Ok(())
}

/// The same, and then the session's limits are what they were: a wait is no work.
pub(crate) async fn wait_patiently(
    client: &Client,
    name: Name,
    wait: Duration,
    patience: Duration,
) -> Outcome<()> {
    // At once where nobody has it: only a wait that is needed takes a network that falls silent for a wait.
    if try_take(client, name, patience).await? {
        return Ok(());
    }
    let milliseconds = wait.as_millis().clamp(1, i32::MAX as u128);
    let limits = format!("SET lock_timeout = {milliseconds}; SET statement_timeout = 0");
    within(patience, client.batch_execute(&limits)).await?;
    wait_for(client, name, wait).await?;
    let limits = "RESET lock_timeout; RESET statement_timeout";
    within(patience, client.batch_execute(limits)).await
}

/// Lets the lock go.
pub(crate) async fn let_go(client: &Client, name: Name, patience: Duration) -> Outcome<()> {
    let numbers = [(&name.0 as _, Type::INT4), (&name.1 as _, Type::INT4)];
    within(patience, client.execute_typed(sql::LET_GO, &numbers)).await?;
    Ok(())
}

/// Waits for the lock as long as the transaction's `lock_timeout` allows; it goes with the transaction.
pub(crate) async fn take_turn(
    client: &Client,
    name: Name,
    wait: Duration,
    patience: Duration,
) -> Outcome<()> {
    let numbers = [(&name.0 as _, Type::INT4), (&name.1 as _, Type::INT4)];
    // At once where nobody has it: a network that falls silent is not taken for a wait.
    let tried = client.query_typed(sql::TRY_TURN, &numbers);
    let tried = within(patience, tried).await?;
    if let Some(row) = tried.first()
        && row.try_get(0)?
    {
        return Ok(());
    }
    let answer = client.query_typed(sql::TAKE_TURN, &numbers);
    within(wait.saturating_add(Duration::from_secs(5)), answer).await?;
    Ok(())
}

/// Who has the lock, in their own words.
pub(crate) async fn holder(
    client: &Client,
    name: Name,
    patience: Duration,
) -> Outcome<Option<String>> {
    let (class, object) = name.shown();
    let numbers = [(&class as _, Type::INT8), (&object as _, Type::INT8)];
    let rows = within(patience, client.query_typed(sql::HOLDER, &numbers)).await?;
    match rows.first() {
        Some(row) => {
            let (name, process): (&str, i32) = (row.try_get(0)?, row.try_get(1)?);
            Ok(Some(format!(
                "{}, server process {process}",
                holder::words(name)
            )))
        }
        None => Ok(None),
    }
}

/// Takes the lock for a session that will write, waiting at most `wait`.
pub(crate) async fn take(
    client: &Client,
    name: Name,
    wait: Duration,
    patience: Duration,
    place: &str,
) -> Outcome<()> {
    if try_take(client, name, patience).await? {
        return Ok(());
    }
    let held_by = holder(client, name, patience).await?;
    if !wait.is_zero() {
        if let Some(holder) = &held_by {
            tracing::info!("waiting for another writer: {holder}");
        }
        match wait_patiently(client, name, wait, patience).await {
            Ok(()) => return Ok(()),
            Err(Failure::Database(error))
                if error.code() == Some(&tokio_postgres::error::SqlState::LOCK_NOT_AVAILABLE) => {}
            Err(failure) => return Err(failure),
        }
    } else if try_take(client, name, patience).await? {
        return Ok(());
    }
    let named = holder(client, name, patience).await?.or(held_by);
    Err(Failure::Store(busy(named.as_deref(), name, place)))
}

fn busy(holder: Option<&str>, name: Name, place: &str) -> StoreError {
    let what = match name.0 - OURS {
        2 => "a version is being built already: ",
        _ => "",
    };
    StoreError::new(
        StoreErrorKind::Busy,
        "lock",
        format!(
            "{what}the store is busy: held by {}; run the command again later, or wait for it with --wait 60s ({place})",
            holder.unwrap_or("another session")
        ),
    )
}
