//! Ollama's `/api/embed`.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use serde::Serialize;
use storage_core::ModelSpec;

use super::classify::Dialect;
use super::client::HttpClient;
use super::openai::{prefixed, send, sent_dimensions, spec};
use crate::settings::HttpSettings;
use crate::{BatchLimits, EmbedError, Embedded, Embedder, Meter, Pause, Purpose};

/// Texts a call at most: Ollama knows no limit, but embeds them one by one, and a call must end within its time.
const MOST_TEXTS: usize = 512;

/// The provider `ollama`.
#[derive(Debug)]
pub struct OllamaEmbedder {
    client: HttpClient,
    spec: ModelSpec,
    /// The width asked of the provider.
    dimensions: Option<u32>,
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    input: &'a [Cow<'a, str>],
    /// Without `false` Ollama cuts long texts in silence.
    truncate: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<u32>,
}

impl OllamaEmbedder {
    /// Checks the settings; connects to nothing. `/api/embed` is added to an address that lacks it.
    ///
    /// # Errors
    /// `Configuration` for an address that is none, or for a key that would travel in the open.
    pub fn new(settings: HttpSettings) -> Result<Self, EmbedError> {
        let spec = spec(&settings);
        let dimensions = sent_dimensions(&settings);
        Ok(Self {
            client: HttpClient::new(settings, Dialect::Ollama)?,
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
impl Embedder for OllamaEmbedder {
    fn provider(&self) -> &'static str {
        "ollama"
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
            truncate: false,
            dimensions: self.dimensions,
        };
        send(&self.client, &body, inputs, meter).await
    }
}
