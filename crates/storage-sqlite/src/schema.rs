//! The schema's history, and how a file is brought up to date.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use storage_core::{
    ContentHash, Migration, MigrationError, PendingMigrations, SchemaStatus, StoreErrorKind,
    pending,
};

use crate::carried;
use crate::error::{Failure, Outcome};
use crate::options::Place;
use crate::sql;

/// Marks a file as ours: "SmSu" in ASCII, in the header where `file` looks for it.
pub(crate) const APPLICATION_ID: u32 = 0x536d_5375;

/// Every migration, oldest first. Append only: stores hold the checksums.
pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "create_tables",
        sql: include_str!("../migrations/0001_create_tables.sql"),
    },
    Migration {
        version: 2,
        name: "versions_of_collections",
        sql: include_str!("../migrations/0002_versions_of_collections.sql"),
    },
];

/// The version this build writes.
pub(crate) fn latest() -> u32 {
    MIGRATIONS.last().map_or(0, |migration| migration.version)
}

/// The schema of a store that was never migrated.
pub(crate) fn fresh() -> SchemaStatus {
    describe(0, &PendingMigrations(MIGRATIONS))
}

/// What the store ran, compared with what this build knows.
pub(crate) fn status(conn: &Connection, place: &Place) -> Outcome<SchemaStatus> {
    let applied = applied(conn)?;
    let pending = compare(&applied, place)?;
    Ok(describe(
        applied.last().map_or(0, |(version, _)| *version),
        &pending,
    ))
}

/// Refuses a store whose schema is not this build's.
pub(crate) fn require_current(conn: &Connection, place: &Place) -> Outcome<()> {
    let status = status(conn, place)?;
    if status.pending.is_empty() {
        return Ok(());
    }
    Err(old(status.current, place))
}

/// A store that was never migrated, or not to the end.
pub(crate) fn old(current: u32, place: &Place) -> Failure {
    Failure::new(
        StoreErrorKind::SchemaOld,
        "open",
        format!(
            "the store has schema {current}, this build needs {}; run `smart-support schema migrate`: {place}",
            latest()
        ),
    )
}

/// A store that a newer build wrote.
pub(crate) fn new(current: u32, place: &Place) -> Failure {
    Failure::new(
        StoreErrorKind::SchemaNew,
        "open",
        format!(
            "the store has schema {current}, this build knows up to {}; upgrade smart-support: {place}",
            latest()
        ),
    )
}

/// Applies what is pending, one transaction a migration. The lock is taken before the history is read, so of many
/// processes that start at once each step is applied by exactly one.
pub(crate) fn migrate(conn: &mut Connection, place: &Place) -> Outcome<SchemaStatus> {
    let mut before = None;
    loop {
        let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        claim(&transaction, place)?;
        let applied = applied(&transaction)?;
        let pending = compare(&applied, place)?;
        let current = applied.last().map_or(0, |(version, _)| *version);
        before.get_or_insert_with(|| describe(current, &pending));
        let Some(next) = pending.0.first() else {
            // Nothing was written, but for the mark on a file that had tables and none of them pending: impossible.
            transaction.rollback()?;
            break;
        };
        transaction.execute_batch(next.sql)?;
        carried::after(&transaction, next.version)?;
        let checksum = next.checksum();
        transaction.execute(
            sql::RECORD_MIGRATION,
            (next.version, next.name, checksum.as_bytes().as_slice()),
        )?;
        transaction.pragma_update(None, "user_version", next.version)?;
        transaction.commit()?;
        tracing::debug!(version = next.version, name = next.name, "schema migrated");
    }
    Ok(before.unwrap_or_else(fresh))
}

/// Tables and indices by name, with the words that created them.
pub(crate) type Objects = BTreeMap<String, Option<String>>;

/// Those of a store that this build made. The history is run for it once a process: it costs more than the rest of a
/// small store's check.
pub(crate) fn ours() -> Outcome<&'static Objects> {
    static OURS: OnceLock<Objects> = OnceLock::new();
    if let Some(ours) = OURS.get() {
        return Ok(ours);
    }
    let mut blank = crate::connection::memory()?;
    migrate(&mut blank, &Place::Memory)?;
    let found = objects(&blank)?;
    Ok(OURS.get_or_init(|| found))
}

/// Those of an open store.
pub(crate) fn objects(conn: &Connection) -> Outcome<Objects> {
    let mut statement = conn.prepare(sql::SCHEMA_OBJECTS)?;
    let rows = statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Marks an empty file as ours; refuses anyone else's. The mark is written with the first tables or not at all.
fn claim(transaction: &Transaction<'_>, place: &Place) -> Outcome<()> {
    let found: u32 = transaction.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if found == APPLICATION_ID {
        return Ok(());
    }
    let empty: bool = transaction.query_row(sql::IS_EMPTY, (), |row| row.get(0))?;
    if found != 0 || !empty {
        return Err(Failure::new(
            StoreErrorKind::Foreign,
            "migrate",
            format!("not a Smart Support store; name another path: {place}"),
        ));
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    Ok(())
}

fn applied(conn: &Connection) -> Outcome<Vec<(u32, ContentHash)>> {
    let exists: bool = conn.query_row(sql::HAS_MIGRATIONS, (), |row| row.get(0))?;
    if !exists {
        return Ok(Vec::new());
    }
    let mut statement = conn.prepare(sql::APPLIED_MIGRATIONS)?;
    let rows = statement.query_map((), |row| Ok((row.get(0)?, row.get::<_, Vec<u8>>(1)?)))?;
    rows.map(|row| {
        let (version, checksum) = row?;
        let checksum = ContentHash::from_stored(&checksum)
            .map_err(|_| Failure::corrupt("open", "a migration's checksum is not 32 bytes"))?;
        Ok((version, checksum))
    })
    .collect()
}

fn compare(applied: &[(u32, ContentHash)], place: &Place) -> Outcome<PendingMigrations<'static>> {
    pending(applied, MIGRATIONS).map_err(|error| match error {
        MigrationError::Newer { store, .. } => new(store, place),
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
