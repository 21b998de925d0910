//! One error type for every store: the kind tells the caller what to do.

use std::error::Error;
use std::fmt;

/// The result of a store operation.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// What the caller can do about a failed operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// Nothing is there yet: create it, or name another place.
    NotFound,
    /// It cannot be reached: retry, or fall back.
    Unavailable,
    /// The settings name something that is not so, or the server refuses who asks: mend the settings.
    Configuration,
    /// Another writer holds it: wait.
    Busy,
    /// Someone applied first: plan again.
    Conflict,
    /// A commit was sent and its answer lost: read the generation before anything else.
    OutcomeUnknown,
    /// Disk full, read-only, permission: mend the place.
    Io,
    /// Older than this build: migrate.
    SchemaOld,
    /// Newer than this build: upgrade the program.
    SchemaNew,
    /// Wrong dimensions or version: choose or build the version.
    Model,
    /// Not a store of ours: name another place.
    Foreign,
    /// Stored data fails its own checks: repair or restore.
    Corrupt,
    /// The caller broke the contract: fix the call.
    Invalid,
    /// Not in this build or on this server: the message names the feature.
    Unsupported,
    /// A bug.
    Internal,
}

/// A failed store operation: kind, operation, one fact, and the cause behind it.
#[derive(Debug)]
pub struct StoreError {
    kind: StoreErrorKind,
    operation: &'static str,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl StoreError {
    /// An error without a deeper cause.
    #[must_use]
    pub fn new(kind: StoreErrorKind, operation: &'static str, message: impl Into<String>) -> Self {
        Self {
            kind,
            operation,
            message: message.into(),
            source: None,
        }
    }

    /// Adds the cause; its text belongs to `source()` and is not repeated in the message.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What the caller can do.
    #[must_use]
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
    }

    /// What was being done, such as `apply`.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        self.operation
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source
            .as_ref()
            .map(|source| &**source as &(dyn Error + 'static))
    }
}
