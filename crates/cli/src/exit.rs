//! Why a command ended, and with which code: the one place that knows the exit codes.

use std::fmt;

use embedder_client::{EmbedError, EmbedErrorKind};
use faq_source::{SourceError, SourceErrorKind};
use storage_core::{ImportError, ImportErrorKind, StoreError, StoreErrorKind};
use sync_engine::{SyncError, SyncErrorKind};

/// Documented, stable exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExitCode {
    Done = 0,
    Failed = 1,
    Usage = 2,
    SomeRowsFailed = 3,
    FaultsFound = 4,
    GateFailed = 5,
    Refused = 6,
    TryAgain = 75,
    Interrupted = 130,
    Terminated = 143,
}

/// A command that did not succeed: its exit code, and what to tell the user.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: ExitCode,
    pub(crate) message: String,
    /// Each deeper cause, outermost first.
    pub(crate) causes: Vec<String>,
    /// The store's own kind, where the store failed.
    pub(crate) store: Option<StoreErrorKind>,
}

impl Failure {
    pub(crate) fn new(code: ExitCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            causes: Vec::new(),
            store: None,
        }
    }

    fn of(code: ExitCode, error: &(dyn std::error::Error + 'static)) -> Self {
        let causes = std::iter::successors(error.source(), |error| (*error).source())
            .map(ToString::to_string);
        Self {
            code,
            message: error.to_string(),
            causes: causes.collect(),
            store: None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.causes
            .iter()
            .try_for_each(|cause| write!(f, ": {cause}"))
    }
}

/// A mistake in flags, settings or files named by them.
pub(crate) fn usage(message: impl Into<String>) -> Failure {
    Failure::new(ExitCode::Usage, message)
}

fn store_code(kind: StoreErrorKind) -> ExitCode {
    match kind {
        StoreErrorKind::Busy | StoreErrorKind::Unavailable => ExitCode::TryAgain,
        StoreErrorKind::Foreign
        | StoreErrorKind::Unsupported
        | StoreErrorKind::NotFound
        | StoreErrorKind::Configuration => ExitCode::Usage,
        StoreErrorKind::SchemaOld | StoreErrorKind::SchemaNew | StoreErrorKind::Model => {
            ExitCode::Refused
        }
        _ => ExitCode::Failed,
    }
}

fn embed_code(kind: EmbedErrorKind) -> ExitCode {
    match kind {
        EmbedErrorKind::Configuration | EmbedErrorKind::Unsupported => ExitCode::Usage,
        EmbedErrorKind::Unavailable => ExitCode::TryAgain,
        EmbedErrorKind::Dimensions | EmbedErrorKind::Budget => ExitCode::Refused,
        EmbedErrorKind::Stopped => ExitCode::Interrupted,
        _ => ExitCode::Failed,
    }
}

fn import_code(kind: ImportErrorKind) -> ExitCode {
    match kind {
        ImportErrorKind::Unavailable | ImportErrorKind::Changing => ExitCode::TryAgain,
        ImportErrorKind::Lossy | ImportErrorKind::Dimensions => ExitCode::Refused,
        // Whatever else is wrong with a source, the user mends it by naming or making another one.
        _ => ExitCode::Usage,
    }
}

impl From<ImportError> for Failure {
    fn from(error: ImportError) -> Self {
        Self::of(import_code(error.kind()), &error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::from(&error)
    }
}

impl From<&StoreError> for Failure {
    fn from(error: &StoreError) -> Self {
        Self {
            store: Some(error.kind()),
            ..Self::of(store_code(error.kind()), error)
        }
    }
}

impl From<EmbedError> for Failure {
    fn from(error: EmbedError) -> Self {
        Self::of(embed_code(error.kind()), &error)
    }
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        let code = match error.kind() {
            SourceErrorKind::Unavailable => ExitCode::TryAgain,
            // Whatever else is wrong with a source, the user mends it by naming or saving another one.
            _ => ExitCode::Usage,
        };
        Self::of(code, &error)
    }
}

impl From<SyncError> for Failure {
    fn from(error: SyncError) -> Self {
        let code = match error.kind() {
            SyncErrorKind::DeleteGuard
            | SyncErrorKind::Model
            | SyncErrorKind::Version
            | SyncErrorKind::Budget
            | SyncErrorKind::Occupied
            | SyncErrorKind::Stale => ExitCode::Refused,
            SyncErrorKind::Stopped => ExitCode::Interrupted,
            SyncErrorKind::SourceConflict
            | SyncErrorKind::Selection
            | SyncErrorKind::ModelUnknown => ExitCode::Usage,
            SyncErrorKind::Import(kind) => import_code(kind),
            SyncErrorKind::Conflict => ExitCode::TryAgain,
            SyncErrorKind::Store(kind) => store_code(kind),
            SyncErrorKind::Embed(kind) => embed_code(kind),
            _ => ExitCode::Failed,
        };
        Self::of(code, &error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::of(ExitCode::Failed, &error)
    }
}
