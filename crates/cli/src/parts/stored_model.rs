//! An embedder that only knows which model a store was embedded with: for comparing a source with a store, which
//! needs a model's identity and never a vector.

use async_trait::async_trait;
use embedder_client::{
    BatchLimits, EmbedError, EmbedErrorKind, Embedded, Embedder, Meter, Purpose,
};
use storage_core::{CollectionName, EmbeddingStore, ModelSpec, NORMALISER, Result};

/// The model of a collection's active version, without the means to embed.
#[derive(Debug)]
pub(crate) struct StoredModel(ModelSpec);

impl StoredModel {
    /// Reads it from the store; for a collection without a version, one that equals no model.
    pub(crate) async fn of(
        store: &dyn EmbeddingStore,
        collection: &CollectionName,
    ) -> Result<Self> {
        let status = store.status().await?;
        let model = status.active(collection).map(|version| &version.model);
        Ok(Self(ModelSpec {
            name: model.map_or_else(String::new, |model| model.name.clone()),
            dimensions: model.map(|model| model.dimensions),
            revision: model.map_or_else(String::new, |model| model.revision.clone()),
            query_prefix: model.map_or_else(String::new, |model| model.query_prefix.clone()),
            passage_prefix: model.map_or_else(String::new, |model| model.passage_prefix.clone()),
            normaliser: model.map_or(NORMALISER, |model| model.normaliser),
        }))
    }
}

#[async_trait]
impl Embedder for StoredModel {
    fn provider(&self) -> &'static str {
        "stored"
    }

    fn spec(&self) -> &ModelSpec {
        &self.0
    }

    fn limits(&self) -> BatchLimits {
        BatchLimits {
            texts: 1,
            bytes: usize::MAX,
        }
    }

    async fn embed(
        &self,
        _inputs: &[String],
        _purpose: Purpose,
        _meter: &Meter,
    ) -> std::result::Result<Embedded, EmbedError> {
        Err(EmbedError::new(
            EmbedErrorKind::Internal,
            "a stored model cannot embed",
        ))
    }
}
