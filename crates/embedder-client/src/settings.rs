//! How to reach a provider. Plain values: reading flags and variables is the caller's business.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use secrecy::SecretString;

use crate::BatchLimits;

/// Settings of a provider over HTTP. `Debug` shows no key.
#[derive(Clone)]
pub struct HttpSettings {
    /// Address, such as `https://api.example.com/v1` or `http://localhost:11434`.
    pub base_url: String,
    /// Key, sent as a bearer token; `None` for a server that asks for none.
    pub api_key: Option<SecretString>,
    /// The model's name as the provider knows it.
    pub model: String,
    /// Dimensions the vectors must have, where they are known.
    pub dimensions: Option<NonZeroU32>,
    /// Whether `dimensions` is also asked of the provider, for models that can shorten their vectors.
    pub send_dimensions: bool,
    /// Put before a question.
    pub query_prefix: String,
    /// Put before a stored text.
    pub passage_prefix: String,
    /// What one call may hold; the provider's own limit holds too.
    pub limits: BatchLimits,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long one call may take, from connecting to the last byte.
    pub timeout: Duration,
    /// How often a call is repeated after a failure that may pass.
    pub max_retries: u32,
    /// Bound of the first wait before a repetition; doubled each time. The wait itself is drawn evenly below it, so
    /// that many clients do not come back at one moment.
    pub first_wait: Duration,
    /// The longest wait of our own choice.
    pub longest_wait: Duration,
    /// The longest `Retry-After` that is obeyed; a provider that asks for more is unavailable.
    pub longest_asked_wait: Duration,
    /// Calls a minute at most, evenly spaced; `None` for no limit of ours.
    pub requests_per_minute: Option<NonZeroU32>,
    /// Whether a key may go over plain `http://` to another machine.
    pub allow_plain_http: bool,
    /// Proxy to go through, such as `http://proxy:3128`; `None` for none, whatever the environment says.
    pub proxy: Option<String>,
}

impl HttpSettings {
    /// The defaults for an address and a model: one minute a call, five repetitions after 0.25 s to 20 s at most.
    #[must_use]
    pub fn new(base_url: impl Into<String>, model: impl Into<String>) -> Self {
        Self {
            base_url: base_url.into(),
            api_key: None,
            model: model.into(),
            dimensions: None,
            send_dimensions: false,
            query_prefix: String::new(),
            passage_prefix: String::new(),
            limits: BatchLimits {
                texts: 2048,
                bytes: 1 << 20,
            },
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(60),
            max_retries: 5,
            first_wait: Duration::from_millis(250),
            longest_wait: Duration::from_secs(20),
            longest_asked_wait: Duration::from_secs(60),
            requests_per_minute: None,
            allow_plain_http: false,
            proxy: None,
        }
    }
}

impl fmt::Debug for HttpSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpSettings")
            .field("base_url", &without_secrets(&self.base_url))
            .field("model", &self.model)
            .field("has_key", &self.api_key.is_some())
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// An address without the parts where people put passwords and keys: user, query and fragment.
fn without_secrets(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    match url.split_once("://") {
        // A password may hold any sign, a slash too, so everything up to the last `@` goes.
        Some((scheme, rest)) => {
            let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
            format!("{scheme}://{rest}")
        }
        None => url
            .rsplit_once('@')
            .map_or(url, |(_, host)| host)
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_an_address_and_no_secret() {
        for (url, shown) in [
            ("https://api.example.com/v1", "https://api.example.com/v1"),
            (
                "https://user:SECRET@api.example.com/v1?key=SECRET#SECRET",
                "https://api.example.com/v1",
            ),
            ("https://user:SEC/SECRET@host", "https://host"),
            ("user:SECRET@host", "host"),
        ] {
            let settings = HttpSettings {
                api_key: Some(SecretString::from("SECRET")),
                proxy: Some("http://user:SECRET@proxy:3128".to_owned()),
                ..HttpSettings::new(url, "m")
            };
            let debug = format!("{settings:?}");
            assert!(debug.contains(&format!("\"{shown}\"")), "{debug}");
            assert!(!debug.contains("SEC"), "{debug}");
        }
    }
}
