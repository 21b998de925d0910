//! What goes wrong with a directory, in words that say what to do.

use std::io;
use std::path::Path;

use rusqlite::ErrorCode;
use storage_core::{ImportError, ImportErrorKind};

/// As many ids as a message names.
const NAMED: usize = 10;

/// Somebody writes to the directory.
pub(super) fn changing(directory: &Path) -> ImportError {
    ImportError::new(
        ImportErrorKind::Changing,
        format!(
            "something writes to the directory while it is read; stop Chroma, or import a copy of {}",
            directory.display()
        ),
    )
}

/// A file that cannot be read.
pub(super) fn unreadable(error: io::Error, path: &Path) -> ImportError {
    let kind = match error.kind() {
        io::ErrorKind::NotFound => ImportErrorKind::NotFound,
        _ => ImportErrorKind::Io,
    };
    ImportError::new(kind, format!("cannot read {}", path.display())).with_source(error)
}

/// What SQLite says, as what the caller can do about it.
pub(super) fn sqlite(error: rusqlite::Error) -> ImportError {
    let code = error.sqlite_error_code();
    let (kind, message) = match code {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => (
            ImportErrorKind::Changing,
            "something writes to chroma.sqlite3; stop Chroma, or import a copy of the directory",
        ),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => (
            ImportErrorKind::Damaged,
            "chroma.sqlite3 is damaged; take a copy that is whole, or let `sqlite3 chroma.sqlite3 .recover` save what \
             it can into a new file",
        ),
        Some(ErrorCode::TooBig | ErrorCode::OutOfMemory) => (
            ImportErrorKind::TooLarge,
            "chroma.sqlite3 holds a value larger than anything honest",
        ),
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen) => (
            ImportErrorKind::Io,
            "chroma.sqlite3 cannot be opened for reading; check the rights of the directory, or import a copy of it",
        ),
        Some(_) => (ImportErrorKind::Io, "chroma.sqlite3 cannot be read"),
        // A value of another type than the table declares.
        None => (
            ImportErrorKind::Damaged,
            "chroma.sqlite3 holds values of a type that Chroma does not write; take a copy that is whole",
        ),
    };
    ImportError::new(kind, message).with_source(error)
}

/// Some of the ids, for a message.
pub(super) fn some<'a>(ids: impl ExactSizeIterator<Item = &'a str>) -> String {
    let rest = ids.len().saturating_sub(NAMED);
    let mut text = ids
        .take(NAMED)
        .map(shortened)
        .collect::<Vec<_>>()
        .join(", ");
    if rest > 0 {
        text.push_str(&format!(" and {rest} more"));
    }
    text
}

/// An id as a message can hold it.
pub(super) fn shortened(id: &str) -> String {
    let clean: String = id
        .chars()
        .filter(|char| !char.is_control())
        .take(80)
        .collect();
    format!("`{clean}`")
}
