//! A look at a file without SQLite, so that nothing of anyone else's is ever locked, recovered or written.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use storage_core::{StoreError, StoreErrorKind};

use crate::descriptors::Shared;
use crate::error::{Failure, Outcome};
use crate::options::Place;
use crate::schema::{self, APPLICATION_ID};

/// What the first hundred bytes of a store say. In a store that is being written they may lag behind the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// The schema's number at the last checkpoint.
    pub(crate) user_version: u32,
    /// Whether changes go to a write-ahead log.
    pub(crate) wal: bool,
}

/// Reads the header; `None` for a file without a byte, which is where a store may be created.
///
/// # Errors
/// `NotFound`, `Foreign` for anything that is not ours, `SchemaNew`, `Io`.
pub(crate) fn read(path: &Path) -> Outcome<Option<Header>> {
    let place = Place::File(path.to_owned());
    let mut bytes = [0; 100];
    let length = Shared::open(path)
        .and_then(|mut file| fill(&mut file, &mut bytes))
        .map_err(|error| unreadable(error, path))?;
    if length == 0 {
        return Ok(None);
    }
    let number =
        |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let foreign = |what: &str| {
        Failure::new(
            StoreErrorKind::Foreign,
            "open",
            format!("not a Smart Support store but {what}; name another path: {place}"),
        )
    };
    if length < bytes.len() || !bytes.starts_with(b"SQLite format 3\0") {
        return Err(foreign("some other file"));
    }
    if number(68) != APPLICATION_ID {
        return Err(foreign("another program's SQLite database"));
    }
    let user_version = number(60);
    if user_version > schema::latest() {
        return Err(schema::new(user_version, &place));
    }
    Ok(Some(Header {
        user_version,
        wal: bytes[18] == 2 || bytes[19] == 2,
    }))
}

fn fill(file: &mut Shared, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    loop {
        match file.read(&mut buffer[length..]) {
            Ok(0) => return Ok(length),
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A place that cannot be looked at.
pub(crate) fn unreadable(error: io::Error, path: &Path) -> Failure {
    let shown = path.display();
    let (kind, message) = match error.kind() {
        io::ErrorKind::NotFound => (
            StoreErrorKind::NotFound,
            format!(
                "there is no store yet; create it with `smart-support schema migrate`: {shown}"
            ),
        ),
        io::ErrorKind::IsADirectory => (
            StoreErrorKind::Foreign,
            format!("the store's path is a directory; name a file: {shown}"),
        ),
        io::ErrorKind::PermissionDenied => (
            StoreErrorKind::Io,
            format!("no permission to open the store: {shown}"),
        ),
        _ => (
            StoreErrorKind::Io,
            format!("the store cannot be opened: {shown}"),
        ),
    };
    Failure::Store(StoreError::new(kind, "open", message).with_source(error))
}

/// The name of a file beside the store.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Whether a log beside the store holds anything.
pub(crate) fn has_log(path: &Path) -> bool {
    std::fs::metadata(beside(path, "-wal")).is_ok_and(|log| log.len() > 0)
}

/// Tells whether the file itself was written to. A checkpoint is the only writer, and it changes the time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamp {
    length: u64,
    modified: Option<SystemTime>,
    #[cfg(unix)]
    identity: (u64, u64, i64, i64),
}

impl Stamp {
    /// Whether both are of one file, written to or not.
    pub(crate) fn is_of_the_same_file(&self, other: &Self) -> bool {
        #[cfg(unix)]
        return (self.identity.0, self.identity.1) == (other.identity.0, other.identity.1);
        // Nothing takes the place of a file that is open.
        #[cfg(not(unix))]
        return true;
    }

    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let metadata = std::fs::metadata(path)?;
        Ok(Self {
            length: metadata.len(),
            modified: metadata.modified().ok(),
            #[cfg(unix)]
            identity: {
                use std::os::unix::fs::MetadataExt;
                (
                    metadata.dev(),
                    metadata.ino(),
                    metadata.ctime(),
                    metadata.ctime_nsec(),
                )
            },
        })
    }
}
