//! Which version a sync fills: the one that is served, or a new one beside it.

use embedder_client::Embedder;
use storage_core::{
    CollectionName, EmbeddingModel, EmbeddingVersion, ModelSpec, StoreStatus, VersionId,
    VersionState,
};

use crate::{SyncError, SyncErrorKind};

/// The version that rows get their vectors in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A registered version.
    Known(EmbeddingVersion),
    /// A version that is registered as soon as its dimensions are known.
    New {
        /// The model.
        spec: ModelSpec,
        /// By which road.
        provider: String,
        /// Empty, or what tells it from a version of the same model.
        nonce: String,
    },
}

impl Target {
    /// The version's id, where it is known.
    #[must_use]
    pub fn id(&self) -> Option<&VersionId> {
        match self {
            Self::Known(version) => Some(&version.id),
            Self::New { .. } => None,
        }
    }

    /// The model, where it is known in full.
    #[must_use]
    pub fn model(&self) -> Option<&EmbeddingModel> {
        match self {
            Self::Known(version) => Some(&version.model),
            Self::New { .. } => None,
        }
    }

    /// Chooses the version for an ordinary sync: the active one when the embedder is of its model, else a refusal;
    /// for a collection without one, the registered version of that model, or a new one.
    pub(crate) fn incremental(
        status: &StoreStatus,
        collection: &CollectionName,
        embedder: &dyn Embedder,
    ) -> Result<Self, SyncError> {
        let spec = embedder.spec();
        if let Some(active) = status.active(collection) {
            return if spec.is(&active.model) {
                Ok(Self::Known(active.clone()))
            } else {
                Err(mismatch(&active.model, spec, collection))
            };
        }
        let registered = status
            .versions
            .iter()
            .find(|version| version.nonce.is_empty() && spec.is(&version.model));
        Ok(registered.map_or_else(
            || Self::fresh(embedder, ""),
            |version| Self::Known(version.clone()),
        ))
    }

    /// Chooses the version for a forced recompute: one that an earlier run left building, else a new one.
    pub(crate) fn forced(status: &StoreStatus, embedder: &dyn Embedder, nonce: &str) -> Self {
        let spec = embedder.spec();
        let of_model = |version: &&EmbeddingVersion| spec.is(&version.model);
        let building = status
            .versions
            .iter()
            .filter(of_model)
            .find(|version| version.state == VersionState::Building);
        if let Some(version) = building {
            return Self::Known(version.clone());
        }
        let nonce = if status.versions.iter().any(|version| of_model(&version)) {
            nonce
        } else {
            ""
        };
        Self::fresh(embedder, nonce)
    }

    fn fresh(embedder: &dyn Embedder, nonce: &str) -> Self {
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
             (EMBEDDING_PROVIDER, EMBEDDING_MODEL_NAME), or embed everything anew with \
             `smart-support migrate --force-recompute`"
        ),
    )
}
