//! The one error type of this crate: what failed, what to do about it, what to type next.

use std::error::Error as StdError;
use std::fmt;

/// Says what the caller can do about a [`ModelError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModelErrorKind {
    /// There is no weights file at the path: fetch it, or name another path.
    Missing,
    /// The file is not the model or does not hold together: remove it and fetch it again.
    Damaged,
    /// The package, the mirror or the tool that reaches them is not available: put that right or try later.
    Unavailable,
    /// What was downloaded is not what is pinned: do not use it; look at the mirror or the package index.
    Mismatch,
    /// The place the weights are kept in cannot be read or written: free space, or mend its permissions.
    Storage,
}

/// An error of loading, fetching or running the local model.
///
/// The message is one line, lower case, and ends with the command to type next where there is one.
/// The cause, if another layer reported one, is in [`source`](StdError::source) and not repeated in the text.
pub struct ModelError {
    kind: ModelErrorKind,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The command that every "get the weights again" message names.
pub(crate) const FETCH_COMMAND: &str = "smart-support model fetch";

impl ModelError {
    pub(crate) fn new(kind: ModelErrorKind, message: impl Into<String>) -> ModelError {
        ModelError {
            kind,
            message: message.into(),
            source: None,
        }
    }

    pub(crate) fn damaged(message: impl fmt::Display) -> ModelError {
        ModelError::new(
            ModelErrorKind::Damaged,
            format!("weights file is damaged: {message}; remove it and run `{FETCH_COMMAND}`"),
        )
    }

    pub(crate) fn with_source(
        mut self,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> ModelError {
        self.source = Some(source.into());
        self
    }

    /// Tells what the caller can do about it.
    pub fn kind(&self) -> ModelErrorKind {
        self.kind
    }
}

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelError")
            .field("kind", &self.kind)
            .field("message", &self.message)
            .field("source", &self.source)
            .finish()
    }
}

impl StdError for ModelError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
