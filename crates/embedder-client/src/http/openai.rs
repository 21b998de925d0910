//! Any API that speaks OpenAI's `/v1/embeddings`.

use async_trait::async_trait;
use serde_json::json;
use storage_core::{ModelSpec, NORMALISER};

use super::answer;
use super::client::HttpClient;
use crate::settings::HttpSettings;
use crate::{BatchLimits, EmbedError, Embedded, Embedder, Purpose};

/// The provider `openai`.
#[derive(Debug)]
pub struct OpenAiEmbedder {
    client: HttpClient,
    spec: ModelSpec,
}

impl OpenAiEmbedder {
    /// Checks the settings; connects to nothing.
    ///
    /// An address without a path means `/v1/embeddings`; a path that ends in `/embeddings` stays; to any other,
    /// `/embeddings` is added.
    ///
    /// # Errors
    /// `Configuration` for an address that is none, or for a key that would travel in the open.
    pub fn new(settings: HttpSettings) -> Result<Self, EmbedError> {
        let spec = spec(&settings);
        let client = HttpClient::new(settings, |url| {
            let path = url.path().trim_end_matches('/').to_owned();
            let path = match path.as_str() {
                "" => "/v1/embeddings".to_owned(),
                path if path.ends_with("/embeddings") => path.to_owned(),
                path => format!("{path}/embeddings"),
            };
            url.set_path(&path);
        })?;
        Ok(Self { client, spec })
    }
}

pub(super) fn spec(settings: &HttpSettings) -> ModelSpec {
    ModelSpec {
        name: settings.model.clone(),
        dimensions: settings.dimensions,
        revision: String::new(),
        query_prefix: settings.query_prefix.clone(),
        passage_prefix: settings.passage_prefix.clone(),
        normaliser: NORMALISER,
    }
}

/// The texts with the model's prefix.
pub(super) fn prefixed(spec: &ModelSpec, inputs: &[String], purpose: Purpose) -> Vec<String> {
    let prefix = match purpose {
        Purpose::Passage => &spec.passage_prefix,
        Purpose::Query => &spec.query_prefix,
    };
    inputs
        .iter()
        .map(|input| format!("{prefix}{input}"))
        .collect()
}

/// Says once a run that the provider answers with another model than was asked for; gateways rename models, so this
/// is no error.
pub(super) fn compare_model(asked: &str, answered: Option<&str>) {
    if let Some(answered) =
        answered.filter(|answered| !answered.contains(asked) && !asked.contains(answered))
    {
        tracing::debug!(asked, answered, "the provider names another model");
    }
}

#[async_trait]
impl Embedder for OpenAiEmbedder {
    fn provider(&self) -> &'static str {
        "openai"
    }

    fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    fn limits(&self) -> BatchLimits {
        BatchLimits {
            texts: 2048,
            bytes: 1 << 20,
        }
    }

    async fn embed(&self, inputs: &[String], purpose: Purpose) -> Result<Embedded, EmbedError> {
        let body = json!({
            "model": self.spec.name,
            "input": prefixed(&self.spec, inputs, purpose),
            "encoding_format": "float",
        });
        let sent = inputs.len();
        let called = self
            .client
            .call(&body, &|bytes| answer::openai(bytes, sent))
            .await?;
        finish(&self.client, called)
    }
}

/// Checks the vectors of an answer.
pub(super) fn finish(
    client: &HttpClient,
    called: super::client::Called,
) -> Result<Embedded, EmbedError> {
    let super::client::Called { answer, requests } = called;
    compare_model(&client.settings().model, answer.model.as_deref());
    let vectors = answer::check(answer.vectors, client.settings().dimensions)
        .map_err(|error| error.with_requests(requests))?;
    Ok(Embedded {
        vectors,
        tokens: answer.tokens,
        requests,
    })
}
