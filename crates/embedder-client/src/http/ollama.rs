//! Ollama's `/api/embed`.

use async_trait::async_trait;
use serde_json::json;
use storage_core::ModelSpec;

use super::answer;
use super::client::HttpClient;
use super::openai::{finish, prefixed, spec};
use crate::settings::HttpSettings;
use crate::{BatchLimits, EmbedError, EmbedErrorKind, Embedded, Embedder, Purpose};

/// The provider `ollama`.
#[derive(Debug)]
pub struct OllamaEmbedder {
    client: HttpClient,
    spec: ModelSpec,
}

impl OllamaEmbedder {
    /// Checks the settings; connects to nothing. `/api/embed` is added to an address that lacks it.
    ///
    /// # Errors
    /// `Configuration` for an address that is none, or for a key that would travel in the open.
    pub fn new(settings: HttpSettings) -> Result<Self, EmbedError> {
        let spec = spec(&settings);
        let client = HttpClient::new(settings, |url| {
            let path = url.path().trim_end_matches('/').to_owned();
            if !path.ends_with("/api/embed") {
                url.set_path(&format!("{path}/api/embed"));
            }
        })?;
        Ok(Self { client, spec })
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
        BatchLimits {
            texts: 512,
            bytes: 1 << 20,
        }
    }

    async fn embed(&self, inputs: &[String], purpose: Purpose) -> Result<Embedded, EmbedError> {
        // Without `truncate: false` Ollama cuts long texts in silence.
        let body = json!({
            "model": self.spec.name,
            "input": prefixed(&self.spec, inputs, purpose),
            "truncate": false,
        });
        let sent = inputs.len();
        let called = self
            .client
            .call(&body, &|bytes| answer::ollama(bytes, sent))
            .await
            .map_err(|error| {
                let absent = error.kind() == EmbedErrorKind::Configuration
                    && error.to_string().contains("not found");
                if !absent {
                    return error;
                }
                let requests = error.requests();
                let message = format!(
                    "Ollama has no model {name}; get it with: ollama pull {name}",
                    name = self.spec.name
                );
                EmbedError::new(EmbedErrorKind::Configuration, message).with_requests(requests)
            })?;
        finish(&self.client, called)
    }
}
