//! The model as one of the project's embedding providers.

use std::num::NonZeroU32;
use std::sync::Arc;

use async_trait::async_trait;
use embedder_client::{
    BatchLimits, EmbedError, EmbedErrorKind, Embedded, Embedder, Meter, Purpose,
};
use storage_core::{Embedding, ModelSpec, NORMALISER};

use crate::known::KnownModel;
use crate::model::LocalModel;

/// Share of characters outside the vocabulary from which a text's vector is not to be trusted.
const LARGE_UNKNOWN_SHARE: f32 = 0.3;

/// A local model as the provider named `local`: adds the prefixes, computes away from the async threads.
///
/// Warns, by counts and never by their contents, of texts that the vocabulary cannot represent and of texts longer than
/// the model reads.
#[derive(Debug, Clone)]
pub struct LocalEmbedder {
    model: Arc<LocalModel>,
    spec: ModelSpec,
}

impl LocalEmbedder {
    /// Offers a loaded model as a provider.
    pub fn new(model: impl Into<Arc<LocalModel>>) -> LocalEmbedder {
        let model = model.into();
        let spec = ModelSpec {
            revision: model.revision().to_owned(),
            ..model.known().spec()
        };
        LocalEmbedder { model, spec }
    }
}

impl KnownModel {
    /// What is stored beside vectors of the pinned weights.
    pub fn spec(&self) -> ModelSpec {
        ModelSpec {
            name: self.name.to_owned(),
            dimensions: u32::try_from(self.dimensions)
                .ok()
                .and_then(NonZeroU32::new),
            revision: self.revision.to_owned(),
            query_prefix: self.query_prefix.to_owned(),
            passage_prefix: self.passage_prefix.to_owned(),
            normaliser: NORMALISER,
        }
    }

    /// A text with the prefix that its purpose asks for.
    fn with_prefix(&self, text: &str, purpose: Purpose) -> String {
        let prefix = match purpose {
            Purpose::Query => self.query_prefix,
            Purpose::Passage => self.passage_prefix,
        };
        format!("{prefix}{text}")
    }
}

#[async_trait]
impl Embedder for LocalEmbedder {
    fn provider(&self) -> &'static str {
        "local"
    }

    fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// Batches that take a fraction of a second, so that progress shows and an interruption is soon heard.
    fn limits(&self) -> BatchLimits {
        BatchLimits {
            texts: 64,
            bytes: 64 << 10,
        }
    }

    /// The marks at both ends count, what the model cuts off does not.
    fn token_count(&self, text: &str, purpose: Purpose) -> Option<u64> {
        let ids = self
            .model
            .token_ids(&self.model.known().with_prefix(text, purpose));
        u64::try_from(ids.len()).ok()
    }

    async fn embed(
        &self,
        inputs: &[String],
        purpose: Purpose,
        meter: &Meter,
    ) -> Result<Embedded, EmbedError> {
        let texts: Vec<String> = inputs
            .iter()
            .map(|input| self.model.known().with_prefix(input, purpose))
            .collect();
        let admission = meter.admit(inputs).await?;
        let inputs = inputs.to_vec();
        let model = Arc::clone(&self.model);
        let computed = tokio::task::spawn_blocking(move || {
            warn_of_unread(&model, &inputs);
            model.embed(&texts)
        });
        let vectors = computed
            .await
            .map_err(|error| {
                EmbedError::new(
                    EmbedErrorKind::Internal,
                    "the local model stopped in the middle",
                )
                .with_source(error)
            })?
            .map_err(|error| EmbedError::new(EmbedErrorKind::BadAnswer, error.to_string()))?;
        let vectors: Result<Vec<Embedding>, _> = vectors.into_iter().map(Embedding::new).collect();
        let vectors = vectors.map_err(|error| {
            EmbedError::new(
                EmbedErrorKind::BadAnswer,
                "the local model gave an unusable vector",
            )
            .with_source(error)
        })?;
        admission.billed(None);
        Ok(Embedded {
            vectors,
            tokens: None,
            requests: 1,
        })
    }
}

fn warn_of_unread(model: &LocalModel, inputs: &[String]) {
    let known = model.known();
    let unknown = inputs
        .iter()
        .filter(|input| model.unknown_share(input) >= LARGE_UNKNOWN_SHARE)
        .count();
    if unknown > 0 {
        tracing::warn!(
            texts = unknown,
            of = inputs.len(),
            "texts in a script or language that the vocabulary of {} lacks; {}",
            known.name,
            known.unread_remedy
        );
    }
    // A token has at least one byte, so a short text need not be counted.
    let long = inputs
        .iter()
        .filter(|input| {
            input.len() > known.max_tokens && model.token_count(input) > known.max_tokens
        })
        .count();
    if long > 0 {
        tracing::warn!(
            texts = long,
            of = inputs.len(),
            read_tokens = known.max_tokens,
            "texts are longer than the model reads"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_provider_can_be_shared_and_boxed() {
        fn is_provider<T: Embedder>() {}
        is_provider::<LocalEmbedder>();
    }
}
