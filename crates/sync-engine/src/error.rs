//! Why a sync did not happen, or not wholly.

use std::error::Error;
use std::fmt;

use embedder_client::{EmbedError, EmbedErrorKind};
use storage_core::{ImportError, ImportErrorKind, StoreError, StoreErrorKind};

/// What the caller can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SyncErrorKind {
    /// More rows would go than the policy allows: look at the source, or allow it.
    DeleteGuard,
    /// The store serves another model, dimension or recipe, or the provider another model: choose the one that was
    /// used, or build a version beside it.
    Model,
    /// Nobody says which model the source's vectors are of: name it.
    ModelUnknown,
    /// There is no such version, or it cannot serve yet.
    Version,
    /// The selection does not go with the rest of the policy: leave it out.
    Selection,
    /// The source's ids belong to another source of the collection.
    SourceConflict,
    /// The run would cost more than it may, or has: allow more, or go on later.
    Budget,
    /// The run was stopped from outside; running it again goes on from there.
    Stopped,
    /// What is planned now is not what was agreed on: make a new plan.
    Stale,
    /// The store to copy into holds something else, or is the one to copy from: name another.
    Occupied,
    /// Another writer keeps coming first.
    Conflict,
    /// The store failed; the kind says how.
    Store(StoreErrorKind),
    /// The provider failed; the kind says how.
    Embed(EmbedErrorKind),
    /// The legacy store that is read failed; the kind says how.
    Import(ImportErrorKind),
}

/// A sync that stopped: kind, one fact with the next step, what was saved, and the cause behind it.
#[derive(Debug)]
pub struct SyncError {
    kind: SyncErrorKind,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl SyncError {
    pub(crate) fn new(kind: SyncErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// The provider's error, with what had been saved before it.
    pub(crate) fn embed(error: EmbedError, stored: usize, of: usize) -> Self {
        let source = error.source().map(|source| source.to_string().into());
        let nothing = stored == 0 && error.kind() == EmbedErrorKind::Stopped;
        let mut failed = Self {
            kind: match error.kind() {
                EmbedErrorKind::Stopped => SyncErrorKind::Stopped,
                EmbedErrorKind::Budget => SyncErrorKind::Budget,
                kind => SyncErrorKind::Embed(kind),
            },
            message: error.to_string(),
            source,
        };
        if nothing {
            failed
                .message
                .push_str("; nothing was paid for yet, to resume, run the same command again");
        }
        failed.with_progress(stored, of)
    }

    /// Adds what had been saved before the error.
    pub(crate) fn with_progress(mut self, stored: usize, of: usize) -> Self {
        if stored > 0 {
            self.message.push_str(&format!(
                "; {stored} of {of} vectors are stored and stay paid for; to resume, run the same command again"
            ));
        }
        self
    }

    /// Adds what else can be done about it.
    pub(crate) fn with_advice(mut self, advice: &str) -> Self {
        self.message.push_str("; ");
        self.message.push_str(advice);
        self
    }

    /// The store's refusal of a change.
    pub(crate) fn of_apply(error: StoreError) -> Self {
        match error.kind() {
            StoreErrorKind::Conflict => Self::new(SyncErrorKind::Conflict, error.to_string()),
            _ => error.into(),
        }
    }

    /// What the caller can do.
    #[must_use]
    pub fn kind(&self) -> SyncErrorKind {
        self.kind
    }
}

impl From<StoreError> for SyncError {
    fn from(error: StoreError) -> Self {
        let message = error.to_string();
        let source = error.source().map(|source| source.to_string().into());
        Self {
            kind: SyncErrorKind::Store(error.kind()),
            message,
            source,
        }
    }
}

impl From<ImportError> for SyncError {
    fn from(error: ImportError) -> Self {
        let message = error.to_string();
        let source = error.source().map(|source| source.to_string().into());
        Self {
            kind: SyncErrorKind::Import(error.kind()),
            message,
            source,
        }
    }
}

impl fmt::Display for SyncError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for SyncError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source
            .as_ref()
            .map(|source| &**source as &(dyn Error + 'static))
    }
}
