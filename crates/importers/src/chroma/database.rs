//! `chroma.sqlite3`, opened for reading and trusted with nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use storage_core::{ImportError, ImportErrorKind};

use super::damage::{shortened, sqlite};
use super::place::Files;

/// A writer that is only passing by.
const PATIENCE: Duration = Duration::from_secs(2);

/// Larger than any document of a support team.
const LARGEST_VALUE: i32 = 64 << 20;

/// Without these it is no Chroma of 0.4 or later.
const TABLES: [&str; 6] = [
    "collections",
    "segments",
    "embeddings",
    "embedding_metadata",
    "embeddings_queue",
    "max_seq_id",
];

/// Tables that only some versions have, and that are read where they are.
const OPTIONAL: [&str; 4] = [
    "databases",
    "collection_metadata",
    "segment_metadata",
    "embedding_metadata_array",
];

/// Opens the database: for reading only, unless it is our own copy.
pub(super) fn connect(files: &Files) -> Result<Connection, ImportError> {
    let (path, ours) = files.database();
    let access = if ours {
        OpenFlags::SQLITE_OPEN_READ_WRITE
    } else {
        OpenFlags::SQLITE_OPEN_READ_ONLY
    };
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(sqlite)?;
    prepare(&connection).map_err(sqlite)?;
    Ok(connection)
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(PATIENCE)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, LARGEST_VALUE)?;
    connection.set_limit(Limit::SQLITE_LIMIT_SQL_LENGTH, 1 << 20)?;
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    connection.execute_batch("PRAGMA cell_size_check = ON; PRAGMA cache_size = -8192")
}

/// Is it a store of Chroma's, and is it whole? With `salvage`, what SQLite can still read is enough.
pub(super) fn check(connection: &Connection, salvage: bool) -> Result<(), ImportError> {
    for table in TABLES {
        if columns(connection, table)?.is_empty() {
            return Err(ImportError::new(
                ImportErrorKind::Unsupported,
                format!(
                    "chroma.sqlite3 has no table {table}; directories of Chroma 0.4 to 1.5 are read"
                ),
            ));
        }
    }
    if salvage {
        return Ok(());
    }
    for table in TABLES.into_iter().chain(OPTIONAL) {
        if columns(connection, table)?.is_empty() {
            continue;
        }
        // Table by table: the index for full texts beside them is not needed, and its tokeniser may be unknown here.
        let answer: String = connection
            .query_row(&format!("PRAGMA quick_check({table})"), [], |row| {
                row.get(0)
            })
            .map_err(sqlite)?;
        if answer != "ok" {
            let first = answer.lines().next().unwrap_or_default();
            return Err(ImportError::new(
                ImportErrorKind::Damaged,
                format!(
                    "chroma.sqlite3 is damaged in table {table}: {}; take a copy that is whole, or import what can \
                     still be read with --salvage",
                    shortened(first)
                ),
            ));
        }
    }
    Ok(())
}

/// The columns of a table; none when there is no such table. A view or a virtual table is none.
pub(super) fn columns(
    connection: &Connection,
    table: &str,
) -> Result<BTreeSet<String>, ImportError> {
    let mut statement = connection
        .prepare_cached(
            "SELECT c.name FROM sqlite_schema AS s, pragma_table_info(s.name) AS c \
             WHERE s.type = 'table' AND s.name = ?1 AND s.sql NOT LIKE 'CREATE VIRTUAL%'",
        )
        .map_err(sqlite)?;
    let names = statement
        .query_map([table], |row| row.get(0))
        .map_err(sqlite)?;
    names.collect::<Result<_, _>>().map_err(sqlite)
}

/// A number in the log's count: 8 bytes, the highest first, up to 0.6; a number from 1.0; both in a directory that was
/// upgraded.
pub(super) fn seq_id(value: ValueRef<'_>) -> Option<i64> {
    match value {
        ValueRef::Integer(number) => Some(number),
        ValueRef::Blob(bytes) => Some(i64::from_be_bytes(bytes.try_into().ok()?)),
        _ => None,
    }
}
