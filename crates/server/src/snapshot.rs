//! What requests work with: every collection as it was at one generation.

use std::collections::BTreeMap;
use std::sync::Arc;

use embedder_client::Embedder;
use retriever::SearchIndex;
use storage_core::{
    CollectionName, EmbeddingSpace, EmbeddingStore, Generation, Source, SourceId, StoreError,
    StoreErrorKind, StoreStatus, Timestamp, VersionId,
};

use crate::backend::{Backend, ServiceError};

/// Tries to find a collection the same before and after it is read.
const MOMENTS: usize = 20;

/// Everything the store held at one generation. Immutable.
#[derive(Debug)]
pub struct Snapshot {
    /// What the store said of itself.
    pub status: StoreStatus,
    /// Its collections.
    pub collections: BTreeMap<CollectionName, Arc<Served>>,
    /// When it was taken.
    pub loaded_at: Timestamp,
    /// Why it is not the store that was asked for, if so.
    pub stand_in: Option<String>,
}

/// One collection, in the version that it serves.
#[derive(Debug)]
pub struct Served {
    /// Its name.
    pub name: CollectionName,
    /// Its generation.
    pub generation: Generation,
    /// The version; `None` before the first row.
    pub version: Option<VersionId>,
    /// The space that its vectors lie in.
    pub space: Option<EmbeddingSpace>,
    /// What is told of the model.
    pub model: Option<wire::Model>,
    /// The rows.
    pub index: Arc<SearchIndex>,
    /// Who owns the rows.
    pub sources: BTreeMap<SourceId, Source>,
    /// Who embeds questions, or why nobody does.
    pub embedder: Result<Arc<dyn Embedder>, ServiceError>,
    /// The score from which on it was calibrated to answer.
    pub calibrated: Option<f32>,
}

impl Snapshot {
    /// Reads what has changed since the last snapshot, and keeps the rest.
    ///
    /// # Errors
    /// Those of the store; `Unavailable` when it changes faster than it can be read.
    pub(crate) async fn load(
        backend: &dyn Backend,
        store: &dyn EmbeddingStore,
        last: Option<&Self>,
        stand_in: Option<String>,
    ) -> Result<Self, ServiceError> {
        for _ in 0..MOMENTS {
            let status = store.status().await?;
            let mut collections = BTreeMap::new();
            for collection in &status.collections {
                let known = last
                    .filter(|last| last.status.store_id == status.store_id)
                    .and_then(|last| last.collections.get(&collection.name))
                    .filter(|known| {
                        known.generation == collection.generation
                            && known.version == collection.active
                    });
                let served = match known {
                    Some(known) if known.is_settled(backend, &status) => Arc::clone(known),
                    known => {
                        let index = known.map(|known| Arc::clone(&known.index));
                        let name = &collection.name;
                        Arc::new(Served::load(backend, store, &status, name, index).await?)
                    }
                };
                collections.insert(collection.name.clone(), served);
            }
            // A scan is of one generation, but not necessarily of the one that was asked for before it.
            // And a file that was put in its place may be of the same.
            if store.status().await? == status {
                return Ok(Self {
                    status,
                    collections,
                    loaded_at: backend.now(),
                    stand_in,
                });
            }
        }
        Err(StoreError::new(
            StoreErrorKind::Unavailable,
            "load",
            "the store changes faster than it can be read",
        )
        .into())
    }

    /// Whether some collection's questions have nobody to embed them.
    pub(crate) fn lacks_an_embedder(&self) -> bool {
        self.collections
            .values()
            .any(|served| served.embedder.is_err())
    }

    /// The readers' counter.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.status.generation
    }
}

fn calibrated(
    backend: &dyn Backend,
    status: &StoreStatus,
    collection: &CollectionName,
) -> Option<f32> {
    let version = status.collection(collection)?.active_version()?;
    backend.calibrated(version)
}

impl Served {
    /// Whether nothing about it would come out otherwise now: who could not embed then may be able to today.
    fn is_settled(&self, backend: &dyn Backend, status: &StoreStatus) -> bool {
        self.embedder.is_ok() && self.calibrated == calibrated(backend, status, &self.name)
    }

    async fn load(
        backend: &dyn Backend,
        store: &dyn EmbeddingStore,
        status: &StoreStatus,
        name: &CollectionName,
        index: Option<Arc<SearchIndex>>,
    ) -> Result<Self, ServiceError> {
        let found = status.collection(name);
        let version = found.and_then(|found| found.active.clone());
        let index = match index {
            Some(index) => index,
            None => Arc::new(SearchIndex::load(store, name, version.as_ref()).await?),
        };
        let sources = store.sources(name).await?;
        Ok(Self {
            name: name.clone(),
            generation: found.map(|found| found.generation).unwrap_or_default(),
            space: status.active(name).cloned(),
            model: wire::Model::active(status, name),
            index,
            sources: sources
                .into_iter()
                .map(|source| (source.id.clone(), source))
                .collect(),
            embedder: backend.embedder(status, name),
            calibrated: calibrated(backend, status, name),
            version,
        })
    }
}
