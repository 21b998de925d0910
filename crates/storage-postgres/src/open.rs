//! Opening, creating and migrating: the only functions of this crate that are not methods of a store.

use std::time::Duration;

use storage_core::{Result, SchemaStatus};

use crate::connect::{self, ExtensionState, Session, check_extension, extension_state};
use crate::error::{Failure, Outcome};
use crate::lock::Name;
use crate::ops::adopt::Adopt;
use crate::options::PostgresOptions;
use crate::schema::{self, Seen};
use crate::store::PostgresStore;
use crate::writer::{Role, Writer};

/// What a migration found and what it left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrated {
    /// The schema before; version 0 where there was none.
    pub before: SchemaStatus,
    /// The schema after.
    pub after: SchemaStatus,
}

/// The schema version this build reads and writes.
#[must_use]
pub fn schema_latest() -> u32 {
    schema::latest()
}

/// Opens a store that exists, for reading and writing. Never changes a schema.
///
/// # Errors
/// The step of connecting that failed; `NotFound` where there is no store, `Foreign` for other people's tables,
/// `SchemaOld` and `SchemaNew` with the remedy, `Busy` while another process writes, `Unsupported` without pgvector.
pub async fn open(options: &PostgresOptions) -> Result<PostgresStore> {
    with_writer(options, Role::Only)
        .await
        .map_err(|failure| failure.at("open", &options.describe()))
}

/// Opens a store that exists for a long work that lets other writers in between: it holds the store for each of its
/// writes and no longer. Only one such work goes on in a store at a time.
///
/// # Errors
/// As [`open`]; `Busy` while another process builds.
pub async fn open_taking_turns(options: &PostgresOptions) -> Result<PostgresStore> {
    with_writer(options, Role::InTurns)
        .await
        .map_err(|failure| failure.at("open", &options.describe()))
}

/// Creates the store where there is none, brings its schema up to date, and opens it.
///
/// # Errors
/// As [`migrate`] and [`open`].
pub async fn create_or_open(options: &PostgresOptions) -> Result<PostgresStore> {
    migrate(options).await?;
    open(options).await
}

/// Opens a store for reading only: on a standby, and behind a proxy that pools transactions, too.
///
/// # Errors
/// As [`open`], but for `Busy`.
pub async fn open_read_only(options: &PostgresOptions) -> Result<PostgresStore> {
    PostgresStore::open_reader(options)
        .await
        .map_err(|failure| failure.at("open", &options.describe()))
}

/// Says what the schema of a store is and what it lacks, without writing anything.
///
/// # Errors
/// As [`open`], but for `NotFound`, `SchemaOld` and `Busy`.
pub async fn schema_status(options: &PostgresOptions) -> Result<SchemaStatus> {
    let session = connect::connect_once(options).await?;
    let place = options.describe();
    let found = async {
        let seen = schema::look(&session.client, options.schema(), patience(options)).await?;
        schema::status(&seen, &place)
    };
    let found = found
        .await
        .map_err(|failure| failure.at("schema_status", &place));
    session.close().await;
    found
}

/// Creates the schema and the extension where they are missing, and applies what is pending. Any number of processes may
/// do so at once.
///
/// # Errors
/// `Foreign` for a schema with tables of those names that are not ours, `SchemaNew` for a newer store, `Unsupported` for
/// a server that is too old or has no pgvector, `Io` where the role lacks a privilege.
pub async fn migrate(options: &PostgresOptions) -> Result<Migrated> {
    let session = connect::connect_once(options).await?;
    let place = options.describe();
    // Looked at first: its refusals name what an administrator has to do.
    match extension_state(&session.client, options).await? {
        ExtensionState::Installed(extension) => {
            for warning in &extension.warnings {
                tracing::warn!("pgvector {}: {warning}", extension.version);
            }
        }
        ExtensionState::Creatable { version } => {
            tracing::debug!("pgvector {version} will be created");
        }
    }
    let migrated = schema::migrate(&session.client, options, patience(options)).await;
    session.close().await;
    let before = migrated.map_err(|failure| failure.at("migrate", &place))?;
    Ok(Migrated {
        before,
        after: SchemaStatus {
            current: schema::latest(),
            latest: schema::latest(),
            pending: Vec::new(),
        },
    })
}

/// Who changes the store at this moment, in their own words; `None` when nobody does.
///
/// # Errors
/// The step of connecting that failed.
pub async fn writer(options: &PostgresOptions) -> Result<Option<String>> {
    let session = connect::connect_once(options).await?;
    let name = Name::writing(options.schema());
    let holder = crate::lock::holder(&session.client, name, patience(options)).await;
    session.close().await;
    holder.map_err(|failure| failure.at("writer", &options.describe()))
}

async fn with_writer(options: &PostgresOptions, role: Role) -> Outcome<PostgresStore> {
    let (seen, session) = looked_at(options).await?;
    let place = options.describe();
    schema::require_current(&seen, &place)?;
    require_extension(&seen, &session, options).await?;
    let writer = Writer::begin(session, options, role, &seen).await?;
    adopt(&writer).await?;
    PostgresStore::new(options, &seen, writer)
}

/// Takes rows in that were written by SQL since the last writer.
async fn adopt(writer: &Writer) -> Outcome<()> {
    let adopted = writer.run(&Adopt).await?;
    if adopted.rows > 0 {
        tracing::info!("adopted rows that were written by SQL: {}", adopted.rows);
    }
    for row in &adopted.refused {
        tracing::warn!("a row that was written by SQL cannot be adopted: {row}");
    }
    Ok(())
}

async fn looked_at(options: &PostgresOptions) -> Outcome<(Seen, Session)> {
    let named = match &options.writer {
        Some(words) => options.clone().with_application_name(words.clone()),
        None => options.clone(),
    };
    let session = connect::connect_once(&named).await?;
    let seen = schema::look(&session.client, options.schema(), patience(options)).await?;
    Ok((seen, session))
}

/// Refuses a database without pgvector, and says who can mend that.
pub(crate) async fn require_extension(
    seen: &Seen,
    session: &Session,
    options: &PostgresOptions,
) -> Outcome<()> {
    if seen.extension.is_none() {
        check_extension(&session.client, options).await?;
        return Err(Failure::corrupt("open", "pgvector went away"));
    }
    Ok(())
}

/// How long the server may say nothing: a little longer than it lets a statement take, so that its own word comes first.
pub(crate) fn patience(options: &PostgresOptions) -> Duration {
    options
        .statement_timeout
        .saturating_add(Duration::from_secs(1))
}
