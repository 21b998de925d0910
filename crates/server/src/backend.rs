//! What the service is composed of, brought by whoever runs it.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use embedder_client::{BatchLimits, EmbedError, EmbedErrorKind, Embedder, Meter};
use faq_source::{SourceError, SourceErrorKind, SourceSnapshot};
use futures_core::stream::BoxStream;
use storage_core::{
    CollectionName, EmbeddingStore, Generation, RunId, StoreError, StoreErrorKind, StoreStatus,
    Timestamp, Version,
};
use sync_engine::{SyncError, SyncErrorKind};

/// What the caller can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ServiceErrorKind {
    /// The store or the provider does not answer, or somebody else is writing: try again later.
    Unavailable,
    /// The model that is configured is not the one that the vectors are of.
    Model,
    /// The request asks for what cannot be.
    Invalid,
    /// What was named is not there.
    NotFound,
    /// Refused for safety: a budget, a guard, somebody else's rows.
    Refused,
    /// The settings are wrong, or something is not in this build.
    Configuration,
    /// A bug, or a damaged store.
    Internal,
}

/// Why something could not be done: kind, one fact, and the cause behind it.
#[derive(Debug)]
pub struct ServiceError {
    kind: ServiceErrorKind,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl ServiceError {
    /// An error without a deeper cause.
    #[must_use]
    pub fn new(kind: ServiceErrorKind, message: impl Into<String>) -> Self {
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

    /// What the caller can do.
    #[must_use]
    pub fn kind(&self) -> ServiceErrorKind {
        self.kind
    }

    /// The message and every deeper cause, in one line.
    #[must_use]
    pub fn chain(&self) -> String {
        let causes = std::iter::successors(self.source(), |error| (*error).source());
        causes.fold(self.message.clone(), |text, cause| {
            format!("{text}: {cause}")
        })
    }
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for ServiceError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source
            .as_ref()
            .map(|source| &**source as &(dyn Error + 'static))
    }
}

fn of_store(kind: StoreErrorKind) -> ServiceErrorKind {
    match kind {
        StoreErrorKind::Unavailable
        | StoreErrorKind::Busy
        | StoreErrorKind::Conflict
        | StoreErrorKind::OutcomeUnknown
        | StoreErrorKind::NotFound
        | StoreErrorKind::Io => ServiceErrorKind::Unavailable,
        StoreErrorKind::Model => ServiceErrorKind::Model,
        StoreErrorKind::Configuration
        | StoreErrorKind::Foreign
        | StoreErrorKind::SchemaOld
        | StoreErrorKind::SchemaNew
        | StoreErrorKind::Unsupported => ServiceErrorKind::Configuration,
        StoreErrorKind::Invalid => ServiceErrorKind::Invalid,
        _ => ServiceErrorKind::Internal,
    }
}

fn of_embedder(kind: EmbedErrorKind) -> ServiceErrorKind {
    match kind {
        EmbedErrorKind::Configuration | EmbedErrorKind::Unsupported => {
            ServiceErrorKind::Configuration
        }
        EmbedErrorKind::Dimensions => ServiceErrorKind::Model,
        EmbedErrorKind::Budget => ServiceErrorKind::Refused,
        EmbedErrorKind::Internal => ServiceErrorKind::Internal,
        _ => ServiceErrorKind::Unavailable,
    }
}

impl From<StoreError> for ServiceError {
    fn from(error: StoreError) -> Self {
        Self::new(of_store(error.kind()), error.to_string()).with_cause_of(error)
    }
}

impl From<EmbedError> for ServiceError {
    fn from(error: EmbedError) -> Self {
        Self::new(of_embedder(error.kind()), error.to_string()).with_cause_of(error)
    }
}

impl From<SourceError> for ServiceError {
    fn from(error: SourceError) -> Self {
        let kind = match error.kind() {
            SourceErrorKind::Unavailable => ServiceErrorKind::Unavailable,
            SourceErrorKind::Unsupported => ServiceErrorKind::Configuration,
            _ => ServiceErrorKind::Invalid,
        };
        Self::new(kind, error.to_string()).with_cause_of(error)
    }
}

impl From<SyncError> for ServiceError {
    fn from(error: SyncError) -> Self {
        let kind = match error.kind() {
            SyncErrorKind::Store(kind) => of_store(kind),
            SyncErrorKind::Embed(kind) => of_embedder(kind),
            SyncErrorKind::Model | SyncErrorKind::Version => ServiceErrorKind::Model,
            SyncErrorKind::Conflict | SyncErrorKind::Stopped => ServiceErrorKind::Unavailable,
            SyncErrorKind::SourceConflict | SyncErrorKind::Selection => ServiceErrorKind::Invalid,
            SyncErrorKind::DeleteGuard | SyncErrorKind::Budget | SyncErrorKind::Occupied => {
                ServiceErrorKind::Refused
            }
            _ => ServiceErrorKind::Internal,
        };
        Self::new(kind, error.to_string()).with_cause_of(error)
    }
}

impl ServiceError {
    /// Keeps the causes behind an error whose own message is taken over already.
    fn with_cause_of(self, error: impl Error) -> Self {
        let causes: Vec<String> = std::iter::successors(error.source(), |error| (*error).source())
            .map(ToString::to_string)
            .collect();
        if causes.is_empty() {
            self
        } else {
            self.with_source(causes.join(": "))
        }
    }
}

/// What one job of writing works with. The store is held by this job alone while it lives.
#[derive(Debug)]
pub struct Workshop {
    /// The store, open for writing.
    pub store: Arc<dyn EmbeddingStore>,
    /// The embedder of what the collection serves, or the configured one for a collection that serves nothing yet.
    pub embedder: Arc<dyn Embedder>,
    /// What one call holds at most.
    pub batch: BatchLimits,
    /// Calls in flight.
    pub concurrency: usize,
    /// What may be spent, and the way to stop.
    pub meter: Meter,
    /// The run's name in the ledger.
    pub run: RunId,
}

/// Everything that is not HTTP: how the store is reached, who embeds, which source is configured.
#[async_trait]
pub trait Backend: fmt::Debug + Send + Sync + 'static {
    /// Opens the store for reading. It is kept for as long as it answers.
    ///
    /// # Errors
    /// When it cannot be opened now; it is tried again.
    async fn open(&self) -> Result<Arc<dyn EmbeddingStore>, ServiceError>;

    /// The store's generations, as they come to be. Never ends by itself, and never fails: what cannot be reached is
    /// looked for.
    fn watch(&self) -> BoxStream<'static, Generation>;

    /// What serves while the store cannot be opened at the start: the source in memory, where that was asked for.
    ///
    /// # Errors
    /// When it was asked for and cannot be done.
    async fn stand_in(&self) -> Option<Result<Arc<dyn EmbeddingStore>, ServiceError>>;

    /// The embedder for questions to a collection, without calling it.
    ///
    /// # Errors
    /// `Model` when the configured one is of another model than the collection's vectors; `Configuration` when there
    /// is none.
    fn embedder(
        &self,
        status: &StoreStatus,
        collection: &CollectionName,
    ) -> Result<Arc<dyn Embedder>, ServiceError>;

    /// The score from which on a version was calibrated to answer, where it was.
    fn calibrated(&self, version: &Version) -> Option<f32>;

    /// Opens the store for one job of writing into a collection, and waits while another process writes.
    ///
    /// # Errors
    /// `Unavailable` while somebody else holds it for longer than that.
    async fn workshop(&self, collection: &CollectionName) -> Result<Workshop, ServiceError>;

    /// Opens the store for writing what needs no embedder, and names the run; waits as [`workshop`](Self::workshop) does.
    ///
    /// # Errors
    /// Those of the store.
    async fn writable(&self) -> Result<(Arc<dyn EmbeddingStore>, RunId), ServiceError>;

    /// Whether a source is configured.
    fn has_source(&self) -> bool;

    /// Reads the source that is configured; `None` where none is. Blocking.
    fn source(&self) -> Option<Result<SourceSnapshot, ServiceError>>;

    /// Reads one document of that name into chunks. Blocking; the bytes are somebody else's.
    ///
    /// # Errors
    /// `Invalid` when it cannot be read, with the reason.
    fn document(
        &self,
        name: &str,
        id: &str,
        bytes: Vec<u8>,
    ) -> Result<SourceSnapshot, ServiceError>;

    /// The clock.
    fn now(&self) -> Timestamp;
}
