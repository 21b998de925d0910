//! Why texts got no vectors.

use std::error::Error;
use std::fmt;

/// What the caller can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EmbedErrorKind {
    /// Wrong or missing key, unknown model, wrong address: mend the settings.
    Configuration,
    /// The provider cannot be reached, is overloaded, or the limit is exhausted, after all retries: try again later.
    Unavailable,
    /// The provider refuses the content of this batch: split it to find the text.
    Rejected,
    /// The provider answered nonsense, twice: do not use it. One text may be to blame, so a batch can be split.
    BadAnswer,
    /// The vectors have another length than the model should have.
    Dimensions,
    /// The run was stopped from outside; nothing was sent.
    Stopped,
    /// What the run may spend is spent; nothing was sent.
    Budget,
    /// Not in this build: the message names the feature.
    Unsupported,
    /// A bug.
    Internal,
}

/// A failed call: kind, one fact with the next step, and the cause behind it. Never holds a key.
#[derive(Debug)]
pub struct EmbedError {
    kind: EmbedErrorKind,
    message: String,
    requests: u32,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl EmbedError {
    /// An error without a deeper cause.
    #[must_use]
    pub fn new(kind: EmbedErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            requests: 0,
            source: None,
        }
    }

    /// Adds the cause; its text is not repeated in the message.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Says how many API calls were made before giving up.
    #[must_use]
    pub fn with_requests(mut self, requests: u32) -> Self {
        self.requests = requests;
        self
    }

    /// What the caller can do.
    #[must_use]
    pub fn kind(&self) -> EmbedErrorKind {
        self.kind
    }

    /// API calls made before giving up.
    #[must_use]
    pub fn requests(&self) -> u32 {
        self.requests
    }
}

impl fmt::Display for EmbedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for EmbedError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source
            .as_ref()
            .map(|source| &**source as &(dyn Error + 'static))
    }
}
