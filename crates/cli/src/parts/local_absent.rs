//! The local model, in a build without it.

use std::path::PathBuf;
use std::sync::Arc;

use embedder_client::{EmbedError, EmbedErrorKind, Embedder};

use super::Weights;
use crate::output::Output;
use crate::settings::EmbedderSettings;

/// Whether this build has it.
pub(crate) const AVAILABLE: bool = false;

pub(crate) fn build(
    _settings: &EmbedderSettings,
    _output: Output,
) -> Result<Arc<dyn Embedder>, EmbedError> {
    Err(absent())
}

pub(crate) fn fetch(
    _settings: &EmbedderSettings,
    _name: Option<&str>,
    _output: Output,
) -> Result<Weights, EmbedError> {
    Err(absent())
}

pub(crate) fn at_hand(_settings: &EmbedderSettings) -> Result<PathBuf, EmbedError> {
    Err(absent())
}

pub(crate) fn workshop(_settings: &EmbedderSettings) -> Option<(PathBuf, &'static str)> {
    None
}

pub(crate) fn token_limit(_settings: &EmbedderSettings) -> Option<(String, u64)> {
    None
}

fn absent() -> EmbedError {
    EmbedError::new(
        EmbedErrorKind::Unsupported,
        "this build has no local model (feature `local-model`); build it with: cargo build --release -p cli --features \
         local-model, or set EMBEDDING_PROVIDER to openai, ollama or hash",
    )
}
