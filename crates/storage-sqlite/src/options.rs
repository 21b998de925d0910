//! Where a store is, and how it is laid out when it is created.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use storage_core::SchemaStatus;

/// Where a store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A file.
    File(PathBuf),
    /// In memory: gone with the process.
    Memory,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Memory => f.write_str(":memory:"),
        }
    }
}

/// Where a store is, and what to know when opening it.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// Where it is.
    pub place: Place,
    /// Numbers per vector, where known: a new file gets the page size that wastes least. A wrong hint costs space,
    /// nothing else.
    pub dimensions: Option<u32>,
    /// How long to wait while another process writes.
    pub busy_timeout: Duration,
    /// One line for others to read: who writes, where, since when, doing what. With it, a store that is opened for
    /// writing is the only one of its file until it is dropped; without it, SQLite's own locks still keep the file
    /// whole, and the first to apply wins.
    pub writer: Option<String>,
    /// A reader that stays while others write. It takes locks from the start, as it would if somebody were writing, so
    /// that none of its reads has to begin again when somebody comes; it leaves a log and its index beside the store.
    /// Where it may not write them, it reads as every other reader does.
    pub stays: bool,
}

impl SqliteOptions {
    /// A store in a file, waiting 5 seconds for other writers.
    #[must_use]
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self {
            place: Place::File(path.into()),
            dimensions: None,
            busy_timeout: Duration::from_secs(5),
            writer: None,
            stays: false,
        }
    }

    /// A store in memory.
    #[must_use]
    pub fn memory() -> Self {
        Self {
            place: Place::Memory,
            ..Self::file(PathBuf::new())
        }
    }

    /// The same, with the dimensions of the vectors that will be stored.
    #[must_use]
    pub fn with_dimensions(mut self, dimensions: Option<u32>) -> Self {
        self.dimensions = dimensions;
        self
    }

    /// The same, waiting for other writers as long as this.
    #[must_use]
    pub fn with_busy_timeout(mut self, busy_timeout: Duration) -> Self {
        self.busy_timeout = busy_timeout;
        self
    }

    /// The same, for a reader that stays while others write.
    #[must_use]
    pub fn staying(mut self) -> Self {
        self.stays = true;
        self
    }

    /// The same, as the only writer, who says so in these words.
    #[must_use]
    pub fn with_writer(mut self, writer: impl Into<String>) -> Self {
        self.writer = Some(writer.into());
        self
    }
}

/// What a migration found and what it left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrated {
    /// The schema before; version 0 for a new file.
    pub before: SchemaStatus,
    /// The schema after.
    pub after: SchemaStatus,
}
