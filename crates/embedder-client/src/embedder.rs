//! The trait every provider implements.

use std::fmt;

use async_trait::async_trait;
use storage_core::{Embedding, ModelSpec};

use crate::{EmbedError, Meter};

/// What a text is for: asymmetric models put another prefix before a question than before a stored text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A text to be stored and found.
    Passage,
    /// A question.
    Query,
}

/// What one call may hold at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimits {
    /// Texts; at least 1.
    pub texts: usize,
    /// UTF-8 bytes of all texts together; a single longer text still goes alone.
    pub bytes: usize,
}

/// The answer to one call.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedded {
    /// One vector a text, in the order of the texts.
    pub vectors: Vec<Embedding>,
    /// Tokens billed, where the provider says.
    pub tokens: Option<u64>,
    /// API calls it took, failed attempts included.
    pub requests: u32,
}

/// Turns texts into vectors.
#[async_trait]
pub trait Embedder: fmt::Debug + Send + Sync + 'static {
    /// The provider's name: `openai`, `ollama`, `local`, `hash`.
    fn provider(&self) -> &'static str;

    /// The model, as far as it is known before the first answer.
    fn spec(&self) -> &ModelSpec;

    /// What one call may hold.
    fn limits(&self) -> BatchLimits;

    /// Counts the tokens that the provider would read of `text`, the model's prefix and special tokens included.
    ///
    /// `None` where the model's own tokenizer is not at hand: an estimate is for the caller to make, and to call one.
    /// Calls nobody over the network. The first call may load the tokenizer, which takes some tens of milliseconds.
    fn token_count(&self, text: &str, purpose: Purpose) -> Option<u64> {
        let _ = (text, purpose);
        None
    }

    /// One vector per input, in order, all of one length. The implementation adds the model's prefix. Retries what
    /// is worth retrying, within its own settings, before it fails. Asks the meter before every attempt, and tells
    /// it what was billed.
    ///
    /// # Errors
    /// The kind tells whether to wait, to split the batch, to mend the settings, or to stop.
    async fn embed(
        &self,
        inputs: &[String],
        purpose: Purpose,
        meter: &Meter,
    ) -> Result<Embedded, EmbedError>;
}
