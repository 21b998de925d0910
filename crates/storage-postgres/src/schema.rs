//! The schema's history, and how a database is brought up to date.

use std::time::Duration;

use storage_core::{
    ContentHash, Migration, MigrationError, PendingMigrations, SchemaStatus, StoreErrorKind,
    pending,
};
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use crate::error::{Failure, Outcome};
use crate::options::PostgresOptions;
use crate::tx::within;
use crate::{connect, lock, own_session, sql};

/// Every migration, oldest first. Append only: stores hold the checksums.
pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "create_tables",
        sql: include_str!("../migrations/0001_create_tables.sql"),
    },
    Migration {
        version: 2,
        name: "sql_surface",
        sql: include_str!("../migrations/0002_sql_surface.sql"),
    },
];

/// `NULLS NOT DISTINCT`, `pg_xact_status` and the planner's handling of unnested arrays are as of this one, and older
/// servers get no fixes any more.
const OLDEST_SERVER: i32 = 150_000;

/// How long a start waits while another one migrates.
const OTHERS_MIGRATION: Duration = Duration::from_secs(120);

/// The version this build writes.
pub(crate) fn latest() -> u32 {
    MIGRATIONS.last().map_or(0, |migration| migration.version)
}

/// What a look at a database tells.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// The schema that pgvector is in; `None` where it is not installed.
    pub(crate) extension: Option<String>,
    /// pgvector's type.
    pub(crate) vector: Option<u32>,
    /// A server that only reads.
    pub(crate) standby: bool,
    /// What the store ran; `None` where there is no store.
    pub(crate) applied: Option<Vec<(u32, ContentHash)>>,
    /// A table of ours that somebody else has.
    taken: Option<String>,
    server: i32,
    /// Whether the store's schema is there, and the one that every database begins with.
    may_create: bool,
    has_public: bool,
}

/// Looks at the schema `name`, without changing anything.
pub(crate) async fn look(client: &Client, name: &str, patience: Duration) -> Outcome<Seen> {
    let row = within(
        patience,
        client.query_typed(sql::LOOK, &[(&name, Type::TEXT)]),
    )
    .await?;
    let row = row
        .first()
        .ok_or_else(|| Failure::corrupt("open", "the server does not say what it has"))?;
    let ours: bool = row.try_get(3)?;
    let applied = match ours {
        false => None,
        true => Some(applied(client, name, patience).await?),
    };
    Ok(Seen {
        extension: row.try_get(0)?,
        vector: row.try_get(1)?,
        standby: row.try_get(2)?,
        applied,
        taken: row.try_get(4)?,
        server: row.try_get(5)?,
        may_create: row.try_get(6)?,
        has_public: row.try_get(7)?,
    })
}

async fn applied(
    client: &Client,
    name: &str,
    patience: Duration,
) -> Outcome<Vec<(u32, ContentHash)>> {
    let sql = sql::APPLIED_MIGRATIONS.replace("{schema}", &connect::quoted(name));
    let rows = within(patience, client.query_typed(&sql, &[])).await?;
    rows.iter()
        .map(|row| {
            let version = u32::try_from(row.try_get::<_, i32>(0)?)
                .map_err(|_| Failure::corrupt("open", "a migration's number is negative"))?;
            let checksum = ContentHash::from_stored(row.try_get(1)?)
                .map_err(|_| Failure::corrupt("open", "a migration's checksum is not 32 bytes"))?;
            Ok((version, checksum))
        })
        .collect()
}

/// The state of a database that holds a store, or none yet.
pub(crate) fn status(seen: &Seen, place: &str) -> Outcome<SchemaStatus> {
    if let (None, Some(table)) = (&seen.applied, &seen.taken) {
        return Err(Failure::new(
            StoreErrorKind::Foreign,
            "schema",
            format!(
                "the schema has {table}, which is not ours; choose another schema with --postgres-schema \
                 smart_support: {place}"
            ),
        ));
    }
    let applied = seen.applied.clone().unwrap_or_default();
    let pending = compare(&applied, place)?;
    Ok(describe(
        applied.last().map_or(0, |(version, _)| *version),
        &pending,
    ))
}

/// Refuses a store whose schema is not this build's.
pub(crate) fn require_current(seen: &Seen, place: &str) -> Outcome<()> {
    let status = status(seen, place)?;
    if seen.applied.is_none() {
        return Err(Failure::new(
            StoreErrorKind::NotFound,
            "open",
            format!(
                "there is no store in {place} yet; create it with `smart-support migrate --faq-path FILE`"
            ),
        ));
    }
    if status.pending.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        StoreErrorKind::SchemaOld,
        "open",
        format!(
            "the store has schema {}, this build needs {}; run `smart-support schema migrate`: {place}",
            status.current,
            latest()
        ),
    ))
}

/// Applies what is pending, in one transaction: where a later step meets somebody else's tables, nothing is left of the
/// earlier ones. One process does at a time: the others wait, and find it done.
pub(crate) async fn migrate(
    client: &Client,
    options: &PostgresOptions,
    patience: Duration,
) -> Outcome<SchemaStatus> {
    let (name, place) = (options.schema(), &options.describe());
    let seen = look(client, name, patience).await?;
    refuse_server(&seen, place)?;
    let before = status(&seen, place)?;
    if before.pending.is_empty() && seen.extension.is_some() {
        return Ok(before);
    }
    // Before the lock: one that was taken through a proxy that pools transactions stays behind in it.
    own_session::require(client, options).await?;
    steps(client, name, place, patience).await?;
    Ok(before)
}

/// Applies every migration that is pending. The lock belongs to the transaction, and that may not idle: one who stops in the middle, or whose network does, keeps others waiting for a while only.
async fn steps(client: &Client, name: &str, place: &str, patience: Duration) -> Outcome<()> {
    let limits = |lock: Duration, statement: Duration| {
        format!(
            "SET LOCAL lock_timeout = {}; SET LOCAL statement_timeout = {}; \
             SET LOCAL idle_in_transaction_session_timeout = {}",
            lock.as_millis(),
            statement.as_millis(),
            patience.as_millis(),
        )
    };
    let begin = format!("BEGIN; {}", limits(OTHERS_MIGRATION, Duration::ZERO));
    within(patience, client.batch_execute(&begin)).await?;
    let outcome = async {
        lock::take_turn(client, lock::MIGRATING, OTHERS_MIGRATION, patience).await?;
        let limits = limits(OTHERS_MIGRATION.min(patience), patience);
        within(patience, client.batch_execute(&limits)).await?;
        while apply_next(client, name, place, patience).await? {}
        within(patience, client.batch_execute("COMMIT")).await
    };
    let outcome = outcome.await;
    if let Err(failure) = &outcome
        && !failure.is_lost()
    {
        let _ = within(patience, client.batch_execute("ROLLBACK")).await;
    }
    outcome
}

/// In a transaction that has the lock.
async fn apply_next(client: &Client, name: &str, place: &str, patience: Duration) -> Outcome<bool> {
    let seen = look(client, name, patience).await?;
    let mut extension = seen.extension.clone();
    if extension.is_none() {
        // Where every store of the database finds it; a database without `public` has it in the store's own schema.
        let place = match seen.has_public {
            true => "public".to_owned(),
            false => connect::quoted(name),
        };
        let create = format!(
            "{} CREATE EXTENSION IF NOT EXISTS vector SCHEMA {place}",
            match seen.has_public || seen.may_create {
                true => String::new(),
                false => format!("CREATE SCHEMA {place};"),
            }
        );
        within(patience, client.batch_execute(&create)).await?;
        extension = look(client, name, patience).await?.extension;
    }
    let applied = seen.applied.clone().unwrap_or_default();
    let Some(next) = compare(&applied, place)?.0.first() else {
        return Ok(false);
    };
    let creates = match next.version {
        1 if !look(client, name, patience).await?.may_create => {
            format!("CREATE SCHEMA {};", connect::quoted(name))
        }
        _ => String::new(),
    };
    let path = connect::search_path(name, extension.as_deref());
    let step = format!(
        "{creates} SET LOCAL search_path = {path}; {}\n; \
         INSERT INTO smart_support_migrations (version, name, checksum) VALUES ({}, '{}', '\\x{}')",
        next.sql,
        next.version,
        next.name,
        next.checksum().to_hex()
    );
    within(patience, client.batch_execute(&step)).await?;
    tracing::debug!(version = next.version, name = next.name, "schema migrated");
    Ok(true)
}

fn refuse_server(seen: &Seen, place: &str) -> Outcome<()> {
    if seen.server < OLDEST_SERVER {
        return Err(Failure::new(
            StoreErrorKind::Unsupported,
            "migrate",
            format!(
                "the server is PostgreSQL {}, and 15 is the oldest that is supported; upgrade it: {place}",
                seen.server / 10_000
            ),
        ));
    }
    if seen.standby {
        return Err(Failure::new(
            StoreErrorKind::Unavailable,
            "migrate",
            format!("this server is a standby, which takes no writes; name the primary: {place}"),
        ));
    }
    Ok(())
}

fn compare(applied: &[(u32, ContentHash)], place: &str) -> Outcome<PendingMigrations<'static>> {
    pending(applied, MIGRATIONS).map_err(|error| match error {
        MigrationError::Newer { store, known } => Failure::new(
            StoreErrorKind::SchemaNew,
            "open",
            format!(
                "the store has schema {store}, this build knows up to {known}; upgrade smart-support: {place}"
            ),
        ),
        other => Failure::corrupt("open", format!("{other}: {place}")),
    })
}

fn describe(current: u32, pending: &PendingMigrations<'_>) -> SchemaStatus {
    SchemaStatus {
        current,
        latest: latest(),
        pending: pending
            .0
            .iter()
            .map(|migration| format!("{:04}_{}", migration.version, migration.name))
            .collect(),
    }
}
