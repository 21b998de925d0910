//! Any API that speaks OpenAI's `/v1/embeddings`.
//!
//! Vectors are asked for as plain numbers (`encoding_format: "float"`) and taken as nothing else: base64 would be a
//! quarter of the bytes, but its width and order are a matter of the provider's, and a wrong guess is a wrong vector.
//! Their length need not be one; whoever compares them divides by it.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use serde::Serialize;
use storage_core::{ModelSpec, NORMALISER};

use super::classify::Dialect;
use super::client::HttpClient;
use crate::settings::HttpSettings;
use crate::{BatchLimits, EmbedError, EmbedErrorKind, Embedded, Embedder, Meter, Pause, Purpose};

/// Texts a call at most, as OpenAI documents it.
const MOST_TEXTS: usize = 2048;

/// The provider `openai`.
#[derive(Debug)]
pub struct OpenAiEmbedder {
    client: HttpClient,
    spec: ModelSpec,
    /// The width asked of the provider.
    dimensions: Option<u32>,
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    input: &'a [Cow<'a, str>],
    encoding_format: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<u32>,
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
        let dimensions = sent_dimensions(&settings);
        Ok(Self {
            client: HttpClient::new(settings, Dialect::OpenAi)?,
            spec,
            dimensions,
        })
    }

    /// Waits in this way before it repeats a call.
    #[must_use]
    pub fn with_pause(mut self, pause: Arc<dyn Pause>) -> Self {
        self.client = self.client.with_pause(pause);
        self
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
        self.client.limits(MOST_TEXTS)
    }

    async fn embed(
        &self,
        inputs: &[String],
        purpose: Purpose,
        meter: &Meter,
    ) -> Result<Embedded, EmbedError> {
        let body = Body {
            model: &self.spec.name,
            input: &prefixed(&self.spec, inputs, purpose),
            encoding_format: "float",
            dimensions: self.dimensions,
        };
        send(&self.client, &body, inputs, meter).await
    }
}

/// What is known of the model before the first answer.
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

/// The width to ask of the provider, where it is to be asked.
pub(super) fn sent_dimensions(settings: &HttpSettings) -> Option<u32> {
    let known = settings.dimensions.filter(|_| settings.send_dimensions);
    known.map(std::num::NonZeroU32::get)
}

/// The texts with the model's prefix.
pub(super) fn prefixed<'a>(
    spec: &ModelSpec,
    inputs: &'a [String],
    purpose: Purpose,
) -> Vec<Cow<'a, str>> {
    let prefix = match purpose {
        Purpose::Passage => &spec.passage_prefix,
        Purpose::Query => &spec.query_prefix,
    };
    let with_prefix = |input: &'a String| match prefix.is_empty() {
        true => Cow::Borrowed(&**input),
        false => Cow::Owned(format!("{prefix}{input}")),
    };
    inputs.iter().map(with_prefix).collect()
}

/// Sends a body, unless it holds nothing to embed.
pub(super) async fn send(
    client: &HttpClient,
    body: &(impl Serialize + Sync),
    inputs: &[String],
    meter: &Meter,
) -> Result<Embedded, EmbedError> {
    if inputs.is_empty() {
        return Ok(Embedded {
            vectors: Vec::new(),
            tokens: None,
            requests: 0,
        });
    }
    let body = serde_json::to_vec(body).map_err(|error| {
        EmbedError::new(EmbedErrorKind::Internal, "a call cannot be written").with_source(error)
    })?;
    client.call(body, inputs, meter).await
}
