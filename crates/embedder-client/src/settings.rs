//! How to reach a provider. Plain values: reading flags and variables is the caller's business.

use std::num::NonZeroU32;
use std::time::Duration;

use secrecy::SecretString;

/// Settings of a provider over HTTP. `Debug` shows no key.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// Address, such as `https://api.example.com/v1` or `http://localhost:11434`.
    pub base_url: String,
    /// Key, sent as a bearer token; `None` for a server that asks for none.
    pub api_key: Option<SecretString>,
    /// The model's name as the provider knows it.
    pub model: String,
    /// Dimensions the vectors must have, where they are known.
    pub dimensions: Option<NonZeroU32>,
    /// Put before a question.
    pub query_prefix: String,
    /// Put before a stored text.
    pub passage_prefix: String,
    /// How long one call may take, from connecting to the last byte.
    pub timeout: Duration,
    /// How often a call is repeated after a failure that may pass.
    pub max_retries: u32,
    /// The first wait before a repetition; doubled each time, with full jitter.
    pub first_wait: Duration,
    /// The longest wait, and the longest `Retry-After` that is obeyed.
    pub longest_wait: Duration,
    /// Calls a minute at most; `None` for no limit of ours.
    pub requests_per_minute: Option<NonZeroU32>,
    /// Whether a key may go over plain `http://` to another machine.
    pub allow_plain_http: bool,
}

impl HttpSettings {
    /// The defaults for an address and a model: one minute a call, five repetitions after 0.25 s to 20 s.
    #[must_use]
    pub fn new(base_url: impl Into<String>, model: impl Into<String>) -> Self {
        Self {
            base_url: base_url.into(),
            api_key: None,
            model: model.into(),
            dimensions: None,
            query_prefix: String::new(),
            passage_prefix: String::new(),
            timeout: Duration::from_secs(60),
            max_retries: 5,
            first_wait: Duration::from_millis(250),
            longest_wait: Duration::from_secs(20),
            requests_per_minute: None,
            allow_plain_http: false,
        }
    }
}
