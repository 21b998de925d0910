//! Builds the embedder that was chosen.

use std::sync::Arc;

use embedder_client::{
    EmbedError, EmbedErrorKind, Embedder, HashEmbedder, HttpSettings, OllamaEmbedder,
    OpenAiEmbedder,
};

use secrecy::ExposeSecret;

use super::local;
use crate::output::Output;
use crate::settings::{EmbedderSettings, Provider};

/// Where Ollama listens unless it is told otherwise.
const OLLAMA: &str = "http://localhost:11434";

/// The model of seed installations; whoever uses another one names it.
const OPENAI_MODEL: &str = "bge-m3";
const OLLAMA_MODEL: &str = "nomic-embed-text";

/// The provider that was chosen, without calling it.
pub(crate) fn build(
    settings: &EmbedderSettings,
    output: Output,
) -> Result<Arc<dyn Embedder>, EmbedError> {
    match settings.provider {
        Provider::Local => {
            let embedder = local::build(settings, output)?;
            keeps_its_width(&*embedder, settings)?;
            Ok(embedder)
        }
        Provider::Hash => Ok(Arc::new(
            settings
                .dimensions
                .map_or_else(HashEmbedder::default, HashEmbedder::new),
        )),
        Provider::OpenAi => {
            let base_url = settings.base_url.clone().ok_or_else(|| {
                let message = "no address of the embedding API; set EMBEDDING_BASE_URL, such as https://HOST/v1";
                EmbedError::new(EmbedErrorKind::Configuration, message)
            })?;
            Ok(Arc::new(OpenAiEmbedder::new(http(
                settings,
                base_url,
                OPENAI_MODEL,
            ))?))
        }
        Provider::Ollama => {
            let base_url = settings
                .base_url
                .clone()
                .unwrap_or_else(|| OLLAMA.to_owned());
            Ok(Arc::new(OllamaEmbedder::new(http(
                settings,
                base_url,
                OLLAMA_MODEL,
            ))?))
        }
    }
}

/// The model that the settings name and the tokens it reads at most, where that is known without asking anybody.
pub(crate) fn token_limit(settings: &EmbedderSettings) -> Option<(String, u64)> {
    let name = match (settings.provider, &settings.model) {
        (Provider::Local, _) => return local::token_limit(settings),
        (Provider::Hash, _) => return None,
        (_, Some(name)) => name.as_str(),
        (Provider::OpenAi, None) => OPENAI_MODEL,
        (Provider::Ollama, None) => OLLAMA_MODEL,
    };
    let limit = match name.rsplit('/').next().unwrap_or(name) {
        "text-embedding-3-small" | "text-embedding-3-large" | "text-embedding-ada-002" => 8191,
        "bge-m3" => 8192,
        _ => return None,
    };
    Some((name.to_owned(), limit))
}

/// A model in this process has the width it was trained with: a shorter vector of it would be another model's.
fn keeps_its_width(embedder: &dyn Embedder, settings: &EmbedderSettings) -> Result<(), EmbedError> {
    let own = embedder.spec().dimensions;
    match (settings.dimensions, own) {
        (Some(asked), Some(own)) if asked != own => Err(EmbedError::new(
            EmbedErrorKind::Configuration,
            format!(
                "the local model {} has {own} dimensions and cannot give {asked}; leave --dimensions \
                 (EMBEDDING_DIMENSIONS) out, or choose an API model that shortens its vectors (EMBEDDING_PROVIDER=openai)",
                embedder.spec().name
            ),
        )),
        _ => Ok(()),
    }
}

fn http(settings: &EmbedderSettings, base_url: String, default_model: &str) -> HttpSettings {
    let model = settings.model.as_deref().unwrap_or(default_model);
    HttpSettings {
        api_key: settings.api_key.clone(),
        dimensions: settings.dimensions,
        send_dimensions: settings.dimensions.is_some(),
        query_prefix: settings.query_prefix.clone(),
        passage_prefix: settings.passage_prefix.clone(),
        timeout: settings.timeout,
        max_retries: settings.max_retries,
        requests_per_minute: settings.requests_per_minute,
        longest_asked_wait: settings.longest_wait,
        proxy: settings
            .proxy
            .as_ref()
            .map(|proxy| proxy.expose_secret().to_owned()),
        allow_plain_http: settings.allow_plain_http,
        ..HttpSettings::new(base_url, model)
    }
}
