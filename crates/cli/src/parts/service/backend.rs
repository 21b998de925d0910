//! What the service is composed of: the store, the embedder and the source that the settings name.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use embedder_client::{BatchLimits, Embedder, Meter};
use faq_source::SourceSnapshot;
use futures_util::stream::BoxStream;
use server::{Backend, ServiceError, ServiceErrorKind, Workshop};
use storage_core::{
    CollectionName, EmbeddingStore, Generation, RunId, SpaceId, StoreStatus, Timestamp, Version,
};

use crate::app::{self, App};
use crate::args::OnStoreError;
use crate::commands::{eval, source, sync};
use crate::exit::{ExitCode, Failure};
use crate::parts::{self, Access};
use crate::settings::{ChunkSettings, SourceSettings};

/// The settings, as the service asks for them.
#[derive(Debug)]
pub(super) struct Composed {
    app: Arc<App>,
    source: Option<SourceSettings>,
    refresh: Duration,
    chunking: ChunkSettings,
    /// Embedders that were made, by the space that they embed for: a model in this process is loaded once.
    embedders: Mutex<BTreeMap<Option<SpaceId>, Arc<dyn Embedder>>>,
}

impl Composed {
    pub(super) fn new(
        app: &Arc<App>,
        source: Option<SourceSettings>,
        refresh: Duration,
        chunking: ChunkSettings,
    ) -> Self {
        Self {
            app: Arc::clone(app),
            source,
            refresh,
            chunking,
            embedders: Mutex::default(),
        }
    }

    /// The embedder of the settings.
    fn configured(&self) -> Result<Arc<dyn Embedder>, Failure> {
        self.made(None, || self.app.embedder())
    }

    fn made(
        &self,
        space: Option<&SpaceId>,
        make: impl FnOnce() -> Result<Arc<dyn Embedder>, Failure>,
    ) -> Result<Arc<dyn Embedder>, Failure> {
        let mut made = self
            .embedders
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = made.get(&space.cloned()) {
            return Ok(Arc::clone(known));
        }
        let embedder = make()?;
        made.insert(space.cloned(), Arc::clone(&embedder));
        Ok(embedder)
    }

    fn of_collection(
        &self,
        status: &StoreStatus,
        collection: &CollectionName,
    ) -> Result<Arc<dyn Embedder>, Failure> {
        let configured = self.configured()?;
        let space = status.active(collection).map(|space| &space.id);
        let embedder = match space {
            None => configured,
            Some(_) => self.made(space, || {
                self.app
                    .embedder_for_collection(status, collection, configured)
            })?,
        };
        app::active_version(status, collection, Some(&*embedder))?;
        Ok(embedder)
    }

    async fn open_for(&self, access: Access) -> Result<Arc<dyn EmbeddingStore>, ServiceError> {
        let opening = parts::Opening {
            access,
            ..self.app.opening()
        };
        Ok(parts::open(&self.app.settings.store, opening).await?)
    }
}

#[async_trait]
impl Backend for Composed {
    async fn open(&self) -> Result<Arc<dyn EmbeddingStore>, ServiceError> {
        self.open_for(Access::Stay).await
    }

    fn watch(&self) -> BoxStream<'static, Generation> {
        parts::watch(&self.app.settings.store, self.refresh)
    }

    async fn stand_in(&self) -> Option<Result<Arc<dyn EmbeddingStore>, ServiceError>> {
        if self.app.settings.on_store_error != OnStoreError::Memory {
            return None;
        }
        let Some(source) = &self.source else {
            return Some(Err(ServiceError::new(
                ServiceErrorKind::Configuration,
                "no source is named to read into memory; set FAQ_PATH",
            )));
        };
        let store = parts::memory();
        let filled = sync::fill(&self.app, source, Arc::clone(&store)).await;
        Some(
            filled
                .map(|()| store)
                .map_err(|failure| explained(&failure)),
        )
    }

    fn embedder(
        &self,
        status: &StoreStatus,
        collection: &CollectionName,
    ) -> Result<Arc<dyn Embedder>, ServiceError> {
        self.of_collection(status, collection)
            .map_err(|failure| explained(&failure))
    }

    fn calibrated(&self, version: &Version) -> Option<f32> {
        eval::threshold(version)
    }

    async fn workshop(&self, collection: &CollectionName) -> Result<Workshop, ServiceError> {
        let store = self.open_for(Access::Write).await?;
        let status = store.status().await?;
        let prepare = || {
            let embedder = self.of_collection(&status, collection)?;
            let batches = sync::batches(self.app.settings.batches()?, &*embedder);
            let spend = sync::spend(&self.app, &*embedder)?;
            Ok((embedder, batches, spend))
        };
        let (embedder, batches, spend) =
            prepare().map_err(|failure: Failure| explained(&failure))?;
        Ok(Workshop {
            store,
            embedder,
            batch: BatchLimits {
                texts: batches.size,
                bytes: sync::BATCH_BYTES,
            },
            concurrency: batches.concurrency,
            meter: Meter::new(spend.limits()),
            run: app::run_id(),
        })
    }

    async fn writable(&self) -> Result<(Arc<dyn EmbeddingStore>, RunId), ServiceError> {
        Ok((self.open_for(Access::Write).await?, app::run_id()))
    }

    fn has_source(&self) -> bool {
        self.source.is_some()
    }

    fn source(&self) -> Option<Result<SourceSnapshot, ServiceError>> {
        let read = source::read(self.source.as_ref()?);
        Some(
            read.map(|read| read.snapshot)
                .map_err(|failure| explained(&failure)),
        )
    }

    fn document(
        &self,
        name: &str,
        id: &str,
        bytes: Vec<u8>,
    ) -> Result<SourceSnapshot, ServiceError> {
        parts::read_document(name, id, &bytes, self.chunking).map_err(|failure| {
            // What is wrong with the settings was said when the service began.
            let kind = match explained(&failure).kind() {
                ServiceErrorKind::Configuration if parts::DOCUMENTS => ServiceErrorKind::Invalid,
                kind => kind,
            };
            ServiceError::new(kind, failure.to_string())
        })
    }

    fn now(&self) -> Timestamp {
        app::now()
    }
}

/// A failure of a command, as the service tells it.
fn explained(failure: &Failure) -> ServiceError {
    let kind = match failure.code {
        ExitCode::TryAgain => ServiceErrorKind::Unavailable,
        ExitCode::Usage => ServiceErrorKind::Configuration,
        ExitCode::Refused => ServiceErrorKind::Model,
        _ => ServiceErrorKind::Internal,
    };
    ServiceError::new(kind, failure.to_string())
}
