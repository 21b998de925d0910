//! Why a source could not be read at all.

use std::error::Error;
use std::fmt;

/// What the caller can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SourceErrorKind {
    /// No file, or no right to read it: name another path.
    Unreadable,
    /// Not a file of this format, damaged, or protected by a password: save it again.
    Format,
    /// The sheet or a column is missing: name it.
    Columns,
    /// No row at all.
    Empty,
    /// Larger than the limits allow.
    Limit,
    /// The reader is not in this build: the message names the feature.
    Unsupported,
    /// A server that does not answer, or not now: try again later.
    Unavailable,
}

/// A source that cannot be read: kind, one fact with the next step, and the cause behind it.
#[derive(Debug)]
pub struct SourceError {
    kind: SourceErrorKind,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl SourceError {
    /// An error without a deeper cause.
    #[must_use]
    pub fn new(kind: SourceErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// Adds the cause; its text is not repeated in the message.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Says what else can be done.
    pub(crate) fn with_hint(mut self, hint: &str) -> Self {
        self.message.push_str(hint);
        self
    }

    /// Puts the place in front: readers know the fact, the caller of the reader knows the file.
    pub(crate) fn located(mut self, location: &str) -> Self {
        self.message = format!("{location}: {}", self.message);
        self
    }

    /// What the caller can do.
    #[must_use]
    pub fn kind(&self) -> SourceErrorKind {
        self.kind
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for SourceError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source
            .as_ref()
            .map(|source| &**source as &(dyn Error + 'static))
    }
}
