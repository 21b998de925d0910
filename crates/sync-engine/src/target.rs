//! Which vector space a run fills: the one that is served, or another one beside it.

use embedder_client::Embedder;
use storage_core::{
    CollectionName, EmbedText, EmbeddingModel, EmbeddingSpace, ModelSpec, SpaceId, StoreStatus,
    VersionState,
};

use crate::{SyncError, SyncErrorKind};

/// The space that rows get their vectors in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A registered space.
    Known(EmbeddingSpace),
    /// A space that is registered as soon as its dimensions are known.
    New {
        /// The model.
        spec: ModelSpec,
        /// By which road.
        provider: String,
        /// Empty, or what tells it from another space of the same model.
        nonce: String,
    },
}

impl Target {
    /// The space's id, where it is known.
    #[must_use]
    pub fn id(&self) -> Option<&SpaceId> {
        match self {
            Self::Known(space) => Some(&space.id),
            Self::New { .. } => None,
        }
    }

    /// The model, where it is known in full.
    #[must_use]
    pub fn model(&self) -> Option<&EmbeddingModel> {
        match self {
            Self::Known(space) => Some(&space.model),
            Self::New { .. } => None,
        }
    }

    /// Chooses the space for an ordinary sync: the active one when the embedder is of its model, else a refusal;
    /// for a collection without one, the registered space of that model, or a new one.
    pub(crate) fn incremental(
        status: &StoreStatus,
        collection: &CollectionName,
        embedder: &dyn Embedder,
    ) -> Result<Self, SyncError> {
        let spec = embedder.spec();
        // What a collection without rows serves binds nobody: an import that was undone may leave one.
        let has_rows = status
            .collection(collection)
            .is_some_and(|known| known.records > 0);
        if let Some(active) = status.active(collection).filter(|_| has_rows) {
            return if spec.is(&active.model) {
                Ok(Self::Known(active.clone()))
            } else {
                Err(mismatch(&active.model, spec, collection))
            };
        }
        Ok(Self::shared(status, embedder))
    }

    /// The space that the embedder's model has in the store, or a new one: equal texts have one vector, whichever
    /// collection they belong to. After a forced recompute that is the space that some collection serves.
    pub(crate) fn shared(status: &StoreStatus, embedder: &dyn Embedder) -> Self {
        let spec = embedder.spec();
        let of_model = |space: &&EmbeddingSpace| spec.is(&space.model);
        let plain = status
            .spaces
            .iter()
            .filter(of_model)
            .find(|space| space.nonce.is_empty());
        let served = status
            .collections
            .iter()
            .filter_map(|found| status.active(&found.name))
            .filter(of_model)
            .max_by_key(|space| space.created_at);
        plain.or(served).map_or_else(
            || Self::fresh(embedder, ""),
            |space| Self::Known(space.clone()),
        )
    }

    /// Chooses the space for embedding a collection anew: one that an earlier run of this kind began or filled and that
    /// was never served, so that nothing is paid for twice; else a new one.
    pub(crate) fn forced(
        status: &StoreStatus,
        collection: &CollectionName,
        embed_text: &EmbedText,
        embedder: &dyn Embedder,
        nonce: &str,
    ) -> Self {
        let spec = embedder.spec();
        let of_model = |space: &&EmbeddingSpace| spec.is(&space.model);
        let begun = status.collection(collection).and_then(|found| {
            let served = [&found.active, &found.previous];
            let waiting = found.versions.iter().rev().filter(|version| {
                version.state != VersionState::Retired
                    && version.embed_text == embed_text.as_str()
                    && !served.contains(&&Some(version.id.clone()))
            });
            let mut spaces = waiting.filter_map(|version| status.space(&version.space));
            // A space without a nonce was built in the ordinary way, from vectors that were there.
            spaces.find(|space| of_model(space) && !space.nonce.is_empty())
        });
        let left = || {
            let mut spaces = status.spaces.iter().filter(of_model);
            spaces.find(|space| !status.is_used(&space.id))
        };
        if let Some(space) = begun.or_else(left) {
            return Self::Known(space.clone());
        }
        let nonce = if status.spaces.iter().any(|space| of_model(&space)) {
            nonce
        } else {
            ""
        };
        Self::fresh(embedder, nonce)
    }

    pub(crate) fn fresh(embedder: &dyn Embedder, nonce: &str) -> Self {
        Self::New {
            spec: embedder.spec().clone(),
            provider: embedder.provider().to_owned(),
            nonce: nonce.to_owned(),
        }
    }
}

fn mismatch(stored: &EmbeddingModel, wanted: &ModelSpec, collection: &CollectionName) -> SyncError {
    let dimensions = wanted.dimensions.map_or_else(String::new, |dimensions| {
        format!(" ({dimensions} dimensions)")
    });
    let difference = if stored.name != wanted.name {
        format!("not {}{dimensions}", wanted.name)
    } else if wanted
        .dimensions
        .is_some_and(|dimensions| dimensions != stored.dimensions)
    {
        format!("not the{dimensions} that the embedder gives")
    } else if stored.revision != wanted.revision {
        format!("revision {:?}, not {:?}", stored.revision, wanted.revision)
    } else {
        "with other prefixes or another normaliser than the embedder's".to_owned()
    };
    SyncError::new(
        SyncErrorKind::Model,
        format!(
            "collection {collection} is embedded with {stored}, {difference}; choose that model again \
             (EMBEDDING_PROVIDER, EMBEDDING_MODEL_NAME, EMBEDDING_DIMENSIONS), or build a version of the other one beside it \
             with `smart-support model build`, or embed everything anew with `smart-support migrate --force-recompute`"
        ),
    )
}
