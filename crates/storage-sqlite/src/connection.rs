//! Connections, with the settings that carry the promises.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags};
use storage_core::{StoreError, StoreErrorKind};

use crate::error::Outcome;
use crate::sql;

/// The first version without the bug that could damage a store when a write met a checkpoint.
const OLDEST_SQLITE: i32 = 3_051_003;

/// The version of SQLite that is linked.
///
/// # Errors
/// `Unsupported` for one that can damage a store; no store is opened with it.
pub fn sqlite_version() -> storage_core::Result<&'static str> {
    if rusqlite::version_number() < OLDEST_SQLITE {
        return Err(StoreError::new(
            StoreErrorKind::Unsupported,
            "open",
            format!(
                "SQLite before 3.51.3 can damage a store; build with feature `bundled`: {}",
                rusqlite::version()
            ),
        ));
    }
    Ok(rusqlite::version())
}

/// However little the caller would wait: whoever opens or closes a store holds it for a moment, and that is no writer
/// to report.
const PATIENCE: Duration = Duration::from_secs(1);

/// SQLite counts milliseconds in 32 bits: 24 days, which is without end.
const LONGEST: Duration = Duration::from_millis(i32::MAX as u64);

/// A connection that writes to a file that exists; with `create`, to one that may not.
pub(crate) fn writer(path: &Path, timeout: Duration) -> Outcome<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    prepare(
        Connection::open_with_flags(path, flags)?,
        timeout,
        sql::WRITER,
    )
}

/// A connection to a store of its own in memory.
pub(crate) fn memory() -> Outcome<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_in_memory_with_flags(flags)?;
    prepare(conn, Duration::ZERO, sql::WRITER)
}

/// A connection that reads. `immutable` promises SQLite that nobody writes: it then takes no lock and leaves no file
/// beside the store, and whoever promised must look whether it held.
pub(crate) fn reader(path: &Path, immutable: bool, timeout: Duration) -> Outcome<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = if immutable {
        Connection::open_with_flags(uri(path)?, flags | OpenFlags::SQLITE_OPEN_URI)?
    } else {
        Connection::open_with_flags(path, flags)?
    };
    prepare(conn, timeout, sql::READER)
}

/// A file name as a URI: everything but the plainest characters is escaped, byte by byte.
fn uri(path: &Path) -> Outcome<String> {
    let absolute =
        std::path::absolute(path).map_err(|error| crate::header::unreadable(error, path))?;
    let mut uri = String::from("file:");
    for byte in absolute.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => {
                uri.push(char::from(*byte));
            }
            _ => uri.push_str(&format!("%{byte:02x}")),
        }
    }
    uri.push_str("?immutable=1");
    Ok(uri)
}

fn prepare(conn: Connection, timeout: Duration, settings: &str) -> Outcome<Connection> {
    sqlite_version()?;
    conn.busy_timeout(timeout.clamp(PATIENCE, LONGEST))?;
    // A hostile file may hold a schema of its own making: it gets no functions, no writable schema, no attachments,
    // and no value larger than the largest we would write.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
    // Without it, a statement whose plan could depend on a bound value is parsed again for every value.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.set_limit(Limit::SQLITE_LIMIT_LENGTH, 64 << 20)?;
    conn.set_limit(Limit::SQLITE_LIMIT_SQL_LENGTH, 1 << 20)?;
    conn.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    conn.set_prepared_statement_cache_capacity(64);
    conn.execute_batch(settings)?;
    Ok(conn)
}

/// Moves the write-ahead log into the store after every 4 MiB. SQLite counts in pages, and its thousand would be 64 MiB
/// with the largest ones.
pub(crate) fn bound_log(conn: &Connection) -> Outcome<()> {
    let page_size: i64 = conn.pragma_query_value(None, "page_size", |row| row.get(0))?;
    conn.pragma_update(None, "wal_autocheckpoint", (4 << 20) / page_size.max(512))?;
    Ok(())
}

/// Turns the write-ahead log on and looks whether it is: on some network file systems it cannot be, and SQLite then
/// goes on with a rollback journal, which is slower and lets readers hold a writer up.
pub(crate) fn use_log(conn: &Connection) -> Outcome<()> {
    // Changing the mode needs the file for itself for a moment, and SQLite does not wait for that: we do.
    const TRIES: u32 = 200;
    for attempt in 1.. {
        let answer = conn
            .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0));
        match answer {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(mode) => {
                tracing::warn!(mode, "no write-ahead log at this place");
                return Ok(());
            }
            Err(error)
                if attempt < TRIES
                    && error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) =>
            {
                std::thread::sleep(Duration::from_millis(25));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
