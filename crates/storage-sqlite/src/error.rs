//! From SQLite's result codes to what the caller can do about them.

use rusqlite::ErrorCode;
use storage_core::{StoreError, StoreErrorKind};

use crate::options::Place;

/// What goes wrong inside this crate, before it knows which operation on which file it was.
#[derive(Debug)]
pub(crate) enum Failure {
    Database(rusqlite::Error),
    Store(StoreError),
}

pub(crate) type Outcome<T> = Result<T, Failure>;

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Failure {
    /// A refusal of our own.
    pub(crate) fn new(
        kind: StoreErrorKind,
        operation: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self::Store(StoreError::new(kind, operation, message))
    }

    /// Stored data that fails its own checks.
    pub(crate) fn corrupt(operation: &'static str, message: impl Into<String>) -> Self {
        Self::new(StoreErrorKind::Corrupt, operation, message)
    }

    /// Whether the data, not the call or the place, is at fault.
    pub(crate) fn is_corrupt(&self) -> bool {
        match self {
            // A stored value that is larger than any we write: its length is what is damaged.
            Self::Database(error) => {
                kind_of(error) == StoreErrorKind::Corrupt
                    || code_of(error) == Some(ErrorCode::TooBig)
            }
            Self::Store(error) => error.kind() == StoreErrorKind::Corrupt,
        }
    }

    /// One fact for a person, without the advice.
    pub(crate) fn fact(&self) -> String {
        match self {
            Self::Database(error) => error.to_string(),
            Self::Store(error) => error.to_string(),
        }
    }

    /// The error callers see: names the place and the next command.
    pub(crate) fn at(self, operation: &'static str, place: &Place) -> StoreError {
        match self {
            Self::Store(error) => error,
            Self::Database(error) => {
                let kind = kind_of(&error);
                let message = match (kind, code_of(&error)) {
                    _ if must_be_undone(&error) => format!(
                        "a change of the store was cut off and must be undone first; run `smart-support schema \
                         migrate`: {place}"
                    ),
                    (StoreErrorKind::Busy, _) => format!(
                        "another process is writing to the store; wait for it and run the command again: {place}"
                    ),
                    (_, Some(ErrorCode::DiskFull)) | (StoreErrorKind::Io, _) if no_room(&error) => {
                        format!(
                            "the disk is full; free space and run the same command again, nothing paid is lost: {place}"
                        )
                    }
                    (_, Some(ErrorCode::ReadOnly)) => {
                        format!("the store cannot be written to; check permissions: {place}")
                    }
                    (_, Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied)) => format!(
                        "the store, or a file beside it, cannot be opened; check permissions, and with `df -h` whether the disk \
                         is full or failing: {place}"
                    ),
                    (StoreErrorKind::Io, _) if is_reading(&error) => format!(
                        "the store could not be read; the disk may be failing: look at the system's log, and restore a \
                         backup elsewhere: {place}"
                    ),
                    // SQLite says "full" of few system calls only; the others fail on a full disk too.
                    (StoreErrorKind::Io, _) => format!(
                        "the store could not be written; the disk may be full or failing: look with `df -h` and run the \
                         same command again, nothing paid is lost: {place}"
                    ),
                    (StoreErrorKind::Foreign, _) => {
                        format!("not a Smart Support store; name another path: {place}")
                    }
                    (StoreErrorKind::Corrupt, _) => format!(
                        "the store is damaged; see what is wrong with `smart-support validate`, put it right with \
                         `smart-support repair`: {place}"
                    ),
                    (StoreErrorKind::Invalid, _) => {
                        format!("a text or a vector is too large for the store: {place}")
                    }
                    _ => format!("SQLite refused the operation: {place}"),
                };
                StoreError::new(kind, operation, message).with_source(error)
            }
        }
    }
}

/// Whether the disk is full. SQLite has a code of its own for the file through which readers and writers of a log meet.
fn no_room(error: &rusqlite::Error) -> bool {
    let extended = error.sqlite_error().map(|error| error.extended_code);
    code_of(error) == Some(ErrorCode::DiskFull)
        || extended == Some(rusqlite::ffi::SQLITE_IOERR_SHMSIZE)
}

/// A reader has met the journal of a write that was cut off: only a writer may roll it back.
fn must_be_undone(error: &rusqlite::Error) -> bool {
    const READONLY_ROLLBACK: i32 = 8 | 3 << 8;
    error
        .sqlite_error()
        .is_some_and(|error| error.extended_code == READONLY_ROLLBACK)
}

/// Whether it was a read that the system refused, not a write.
fn is_reading(error: &rusqlite::Error) -> bool {
    use rusqlite::ffi::{SQLITE_IOERR_FSTAT, SQLITE_IOERR_READ, SQLITE_IOERR_SHORT_READ};
    let extended = error.sqlite_error().map(|error| error.extended_code);
    [
        SQLITE_IOERR_READ,
        SQLITE_IOERR_SHORT_READ,
        SQLITE_IOERR_FSTAT,
    ]
    .map(Some)
    .contains(&extended)
}

fn code_of(error: &rusqlite::Error) -> Option<ErrorCode> {
    error.sqlite_error_code()
}

fn kind_of(error: &rusqlite::Error) -> StoreErrorKind {
    use rusqlite::Error as E;
    // Every statement of this crate fits its own schema: one that does not meets a damaged one.
    if let E::SqlInputError { error, .. } = error
        && error.code == ErrorCode::Unknown
    {
        return StoreErrorKind::Corrupt;
    }
    match code_of(error) {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreErrorKind::Busy,
        Some(
            ErrorCode::DiskFull
            | ErrorCode::ReadOnly
            | ErrorCode::CannotOpen
            | ErrorCode::PermissionDenied
            | ErrorCode::SystemIoFailure
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::NoLargeFileSupport,
        ) => StoreErrorKind::Io,
        Some(ErrorCode::DatabaseCorrupt) => StoreErrorKind::Corrupt,
        Some(ErrorCode::NotADatabase) => StoreErrorKind::Foreign,
        Some(ErrorCode::TooBig) => StoreErrorKind::Invalid,
        Some(ErrorCode::OutOfMemory) => StoreErrorKind::Unavailable,
        Some(_) => StoreErrorKind::Internal,
        // A column that does not hold what our own schema says it holds, or a row that always is there and is not.
        None => match error {
            E::QueryReturnedNoRows
            | E::FromSqlConversionFailure(..)
            | E::IntegralValueOutOfRange(..)
            | E::InvalidColumnType(..)
            | E::Utf8Error(..) => StoreErrorKind::Corrupt,
            _ => StoreErrorKind::Internal,
        },
    }
}
