//! A read-only session that leaves nothing beside the file.
//!
//! A store without a log is opened as immutable: no lock, no shared-memory file, a read-only medium is fine. The
//! promise behind that word can be broken by another process at any time, so every result is used only after a look
//! at the file: was it written to meanwhile? A store with a log has a writer, or had one that was cut off, and is
//! opened in the ordinary way.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use storage_core::StoreErrorKind;

use crate::connection;
use crate::error::{Failure, Outcome};
use crate::header::{self, Header, Stamp};
use crate::log;
use crate::options::Place;
use crate::schema;

pub(crate) struct Reader {
    conn: Connection,
    path: PathBuf,
    timeout: Duration,
    /// Whether it takes locks though nobody may be writing.
    stays: bool,
    /// How the file was when it was opened.
    stamp: Stamp,
    /// Whether SQLite was promised that nobody writes. An ordinary connection is kept honest by SQLite.
    immutable: bool,
}

impl Reader {
    /// Opens a file that has this build's schema.
    pub(crate) fn open(path: &Path, timeout: Duration) -> Outcome<Self> {
        let place = Place::File(path.to_owned());
        let reader = Self::open_any(path, timeout)?.ok_or_else(|| schema::old(0, &place))?;
        schema::require_current(&reader.conn, &place)?;
        Ok(reader)
    }

    /// Opens a file that this process writes to as well: never immutable, for its own writer would break the promise.
    pub(crate) fn beside_writer(path: &Path, timeout: Duration) -> Outcome<Self> {
        let reader = Self {
            stamp: Stamp::of(path).map_err(|error| header::unreadable(error, path))?,
            conn: connection::reader(path, false, timeout)?,
            path: path.to_owned(),
            timeout,
            stays: true,
            immutable: false,
        };
        schema::require_current(&reader.conn, &Place::File(path.to_owned()))?;
        Ok(reader)
    }

    /// Opens a file of this build's schema with locks, where they can be had.
    pub(crate) fn staying(path: &Path, timeout: Duration) -> Outcome<Self> {
        let opened = Self::open(path, timeout)?;
        if !opened.immutable {
            return Ok(Self {
                stays: true,
                ..opened
            });
        }
        match Self::beside_writer(path, timeout) {
            Ok(reader) => Ok(reader),
            // A medium that cannot be written to: nobody will.
            Err(failure) if !header::has_log(path) => {
                tracing::debug!("the store is read without locks: {}", failure.fact());
                Ok(opened)
            }
            Err(failure) => Err(failure),
        }
    }

    /// Opens a file of ours with any schema that is not newer; `None` for an empty one.
    pub(crate) fn open_any(path: &Path, timeout: Duration) -> Outcome<Option<Self>> {
        // The stamp comes first: whatever happens after it is noticed.
        let stamp = Stamp::of(path).map_err(|error| header::unreadable(error, path))?;
        let Some(Header { wal, .. }) = header::read(path)? else {
            return Ok(None);
        };
        log::require_whole(path)?;
        let immutable = wal && !header::has_log(path);
        let conn = connection::reader(path, immutable, timeout)?;
        Ok(Some(Self {
            conn,
            path: path.to_owned(),
            timeout,
            stays: false,
            stamp,
            immutable,
        }))
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.conn
    }

    /// Whether what was read so far is what a reader with locks would have read.
    pub(crate) fn is_sound(&self) -> bool {
        !self.immutable || Stamp::of(&self.path).is_ok_and(|now| now == self.stamp)
    }

    /// Opens again where the file was written to, or gained a writer whose news are in the log, or where another file has
    /// taken its place.
    pub(crate) fn refresh(&mut self) -> Outcome<()> {
        let stale = if self.immutable {
            !self.is_sound() || header::has_log(&self.path)
        } else {
            let now = Stamp::of(&self.path);
            let now = now.map_err(|error| header::unreadable(error, &self.path))?;
            !now.is_of_the_same_file(&self.stamp)
        };
        if stale {
            *self = if self.stays {
                Self::staying(&self.path, self.timeout)?
            } else {
                Self::open(&self.path, self.timeout)?
            };
        }
        Ok(())
    }

    /// Runs a read and takes its result only when it is sound; else runs it again.
    pub(crate) fn read<T>(&mut self, read: &dyn Fn(&Connection) -> Outcome<T>) -> Outcome<T> {
        const TRIES: usize = 5;
        for _ in 0..TRIES {
            self.refresh()?;
            let outcome = read(&self.conn);
            if self.is_sound() {
                return outcome;
            }
        }
        Err(changing())
    }
}

/// The file was written to while it was read, time and again.
pub(crate) fn changing() -> Failure {
    Failure::new(
        StoreErrorKind::Busy,
        "read",
        "the store was written to while it was read; run the command again",
    )
}
