//! Opening, creating and migrating: the only functions of this crate that are not methods of a store.

use std::fs::OpenOptions;
use std::path::Path;

use storage_core::{Result, SchemaStatus, StoreError, StoreErrorKind};

use crate::connection;
use crate::descriptors;
use crate::error::{Failure, Outcome};
use crate::header;
use crate::lock::{self, Turns, WriterLock};
use crate::log;
use crate::options::{Migrated, Place, SqliteOptions};
use crate::page_size;
use crate::partial;
use crate::reader::Reader;
use crate::schema;
use crate::store::SqliteStore;
use crate::worker::Session;

/// The schema version this build reads and writes.
#[must_use]
pub fn schema_latest() -> u32 {
    schema::latest()
}

/// Opens a store that exists, for reading and writing. Never creates a file, never changes a schema: a store that is
/// refused is left byte for byte as it was.
///
/// # Errors
/// `NotFound` where there is no file, `Foreign` for another program's file, `SchemaOld` and `SchemaNew` with the
/// remedy, `Io` for a directory or a lack of permission.
pub fn open(options: &SqliteOptions) -> Result<SqliteStore> {
    let Place::File(path) = &options.place else {
        return open_in_memory();
    };
    // Looking first: a store that is refused has no lock beside it afterwards.
    let opened = look(path, options)
        .and_then(|()| lock::wanted(path, options.writer.as_deref(), options.busy_timeout))
        .and_then(|lock| Ok((write_session(path, options)?, lock)));
    let (session, lock) = opened.map_err(|failure| failure.at("open", &options.place))?;
    SqliteStore::start(session, options, lock)
}

/// Opens a store that exists for a long work that lets other writers in between: it holds the store for each of its
/// writes and no longer, and for each waits until nobody else does. Only one such work goes on in a store at a time.
///
/// # Errors
/// As [`open`]; `Busy` while another process builds or, at the beginning, writes.
pub fn open_taking_turns(options: &SqliteOptions) -> Result<SqliteStore> {
    let (Place::File(path), Some(holder)) = (&options.place, &options.writer) else {
        return open(options);
    };
    let opened = look(path, options).and_then(|()| {
        let build = lock::building(path, holder, options.busy_timeout)?;
        let turn = WriterLock::acquire(path, holder, options.busy_timeout)?;
        let mut session = write_session(path, options)?;
        session.turns = Some(Turns::new(path, holder)?);
        drop(turn);
        Ok((session, build))
    });
    let (session, build) = opened.map_err(|failure| failure.at("open", &options.place))?;
    SqliteStore::start(session, options, Some(build))
}

/// Creates the store where there is none, brings its schema up to date, and opens it.
///
/// # Errors
/// As [`migrate`] and [`open`].
pub fn create_or_open(options: &SqliteOptions) -> Result<SqliteStore> {
    let Place::File(path) = &options.place else {
        return open_in_memory();
    };
    let opened = locked_migration(path, options).and_then(|(_, lock)| {
        look(path, options)?;
        Ok((write_session(path, options)?, lock))
    });
    let (session, lock) = opened.map_err(|failure| failure.at("open", &options.place))?;
    SqliteStore::start(session, options, lock)
}

/// Opens a store for reading only. Creates no file beside a store that nobody is writing to, unless the reader
/// [stays](SqliteOptions::stays), and works on a read-only file, directory or medium. A file that takes the store's place
/// is read from then on. In memory, that is an empty store.
///
/// # Errors
/// As [`open`].
pub fn open_read_only(options: &SqliteOptions) -> Result<SqliteStore> {
    let Place::File(path) = &options.place else {
        return open_in_memory();
    };
    let reader = if options.stays {
        Reader::staying(path, options.busy_timeout)
    } else {
        Reader::open(path, options.busy_timeout)
    };
    let reader = reader.map_err(|failure| failure.at("open", &options.place))?;
    Ok(SqliteStore::read_only(reader, path, options))
}

/// Opens a store that is gone with the process.
///
/// # Errors
/// Only when memory or threads run out.
pub fn open_in_memory() -> Result<SqliteStore> {
    let options = SqliteOptions::memory();
    let session = || {
        let mut conn = connection::memory()?;
        schema::migrate(&mut conn, &options.place)?;
        Ok(Session::new(conn))
    };
    let session = session().map_err(|failure: Failure| failure.at("open", &options.place))?;
    SqliteStore::start(session, &options, None)
}

/// Says what the schema of a store is and what it lacks, without writing anything.
///
/// # Errors
/// As [`open`], but for `SchemaOld`.
pub fn schema_status(options: &SqliteOptions) -> Result<SchemaStatus> {
    let status = match &options.place {
        Place::Memory => Ok(schema::fresh()),
        Place::File(path) => file_status(path, options),
    };
    status.map_err(|failure| failure.at("schema_status", &options.place))
}

/// Creates the file and its directories where they are missing, readable by their owner only, and applies what is
/// pending. Any number of processes may do so at once.
///
/// # Errors
/// `Foreign` for a file that is not empty and not ours, `SchemaNew` for a newer store, `Busy` when another process
/// holds the store for longer than the timeout, `Io` when the place cannot be written to.
pub fn migrate(options: &SqliteOptions) -> Result<Migrated> {
    let migrated = match &options.place {
        Place::Memory => Ok(schema::fresh()),
        Place::File(path) => locked_migration(path, options).map(|(before, _)| before),
    };
    let before = migrated.map_err(|failure| failure.at("migrate", &options.place))?;
    Ok(Migrated {
        before,
        after: SchemaStatus {
            current: schema::latest(),
            latest: schema::latest(),
            pending: Vec::new(),
        },
    })
}

/// Refuses what is not a store of today's schema, without a trace.
fn look(path: &Path, options: &SqliteOptions) -> Outcome<()> {
    let place = &options.place;
    let header = header::read(path)?.ok_or_else(|| schema::old(0, place))?;
    log::require_whole(path)?;
    if header.user_version != schema::latest() || header::has_log(path) {
        // The header may lag behind a log. Looking through a reader changes nothing, whatever it finds.
        drop(Reader::open(path, options.busy_timeout)?);
    }
    Ok(())
}

fn write_session(path: &Path, options: &SqliteOptions) -> Outcome<Session> {
    let place = &options.place;
    let conn = connection::writer(path, options.busy_timeout)?;
    schema::require_current(&conn, place)?;
    if conn.is_readonly(rusqlite::MAIN_DB)? {
        drop(conn);
        return Err(not_writable(path, place));
    }
    connection::bound_log(&conn)?;
    Ok(Session::new(conn))
}

/// SQLite goes on reading where it cannot write and does not say why; the system does, if it still refuses.
fn not_writable(path: &Path, place: &Place) -> Failure {
    let error = |message| StoreError::new(StoreErrorKind::Io, "open", message);
    Failure::Store(match descriptors::may_write(path) {
        Ok(()) => error(format!(
            "the store could not be opened for writing a moment ago, and now it can: a disk that is full or failing, \
             or permissions that were changed; run the same command again: {place}"
        )),
        Err(why) => error(format!(
            "the store cannot be written to; check permissions: {place}"
        ))
        .with_source(why),
    })
}

fn file_status(path: &Path, options: &SqliteOptions) -> Outcome<SchemaStatus> {
    match Reader::open_any(path, options.busy_timeout)? {
        None => Ok(schema::fresh()),
        Some(mut reader) => reader.read(&|conn| schema::status(conn, &options.place)),
    }
}

/// Migrates as the only writer, where that is wanted, and hands the lock on.
fn locked_migration(
    path: &Path,
    options: &SqliteOptions,
) -> Outcome<(SchemaStatus, Option<WriterLock>)> {
    create_file(path)?;
    // Looking first: a file of somebody else's gets no lock beside it.
    header::read(path)?;
    let lock = lock::wanted(path, options.writer.as_deref(), options.busy_timeout)?;
    Ok((migrate_file(path, options)?, lock))
}

fn migrate_file(path: &Path, options: &SqliteOptions) -> Outcome<SchemaStatus> {
    if let Some(header) = header::read(path)?
        && header.user_version == schema::latest()
        && header.wal
    {
        // Nothing is pending, so nothing is locked: this is what every start of a service does.
        let status = file_status(path, options)?;
        if status.pending.is_empty() {
            return Ok(status);
        }
    }
    log::require_whole(path)?;
    let mut conn = connection::writer(path, options.busy_timeout)?;
    // Heeded by an empty file only.
    conn.pragma_update(None, "page_size", page_size::choose(options.dimensions))?;
    let before = schema::migrate(&mut conn, &options.place)?;
    connection::use_log(&conn)?;
    Ok(before)
}

/// Creates an empty file, and the directories above it. Whoever comes second finds it there.
fn create_file(path: &Path) -> Outcome<()> {
    let failed = |error| header::unreadable(error, path);
    partial::create_directories(path, "migrate")?;
    let mut new = OpenOptions::new();
    new.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut new, 0o600);
    match new.open(path) {
        // SQLite makes new names durable for its journals only.
        Ok(file) => file
            .sync_all()
            .and_then(|()| partial::sync_directory(path))
            .map_err(failed),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(Failure::Store(
            storage_core::StoreError::new(
                storage_core::StoreErrorKind::Io,
                "migrate",
                format!("the store cannot be created: {}", path.display()),
            )
            .with_source(error),
        )),
    }
}
