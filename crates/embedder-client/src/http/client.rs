//! Sends a call, repeats it while that may help, and waits as asked.

use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use reqwest::header::{AUTHORIZATION, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, Url};
use secrecy::ExposeSecret;

use super::answer::{RawAnswer, bad};
use super::classify::{Class, classify, explain};
use crate::settings::HttpSettings;
use crate::{EmbedError, EmbedErrorKind};

/// Bytes an answer may have: 2,048 vectors of 4,096 numbers, written out, and some.
const LONGEST_ANSWER: usize = 128 << 20;

/// How often an answer that makes no sense is asked for again: once, since it costs a whole batch.
const NONSENSE_RETRIES: u32 = 1;

/// An address, a key and the way to talk to them. The connection is made at the first call: a run that embeds
/// nothing pays for no TLS.
pub(super) struct HttpClient {
    settings: HttpSettings,
    url: Url,
    client: OnceLock<Client>,
    limiter: Option<DefaultDirectRateLimiter>,
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient")
            .field("host", &self.url.host_str())
            .finish_non_exhaustive()
    }
}

/// What a call brought, and how many attempts it took.
pub(super) struct Called {
    pub(super) answer: RawAnswer,
    pub(super) requests: u32,
}

/// One attempt that failed.
struct Failed {
    class: Class,
    error: EmbedError,
}

impl HttpClient {
    /// Checks the address; connects to nothing.
    ///
    /// # Errors
    /// `Configuration` for an address that is none, or for a key that would travel in the open.
    pub(super) fn new(
        settings: HttpSettings,
        address: impl FnOnce(&mut Url),
    ) -> Result<Self, EmbedError> {
        let configuration =
            |message: String| EmbedError::new(EmbedErrorKind::Configuration, message);
        let mut url: Url = settings.base_url.parse().map_err(|_| {
            configuration(
                "EMBEDDING_BASE_URL is no address; write it like https://host/v1".to_owned(),
            )
        })?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(configuration(
                "EMBEDDING_BASE_URL must begin with https:// or http://".to_owned(),
            ));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(configuration(
                "EMBEDDING_BASE_URL holds a user name or password; put the key into EMBEDDING_API_KEY".to_owned(),
            ));
        }
        if settings.api_key.is_some()
            && url.scheme() == "http"
            && !is_near(&url)
            && !settings.allow_plain_http
        {
            return Err(configuration(format!(
                "the key would travel unencrypted to {}; use https:// in EMBEDDING_BASE_URL",
                url.host_str().unwrap_or_default()
            )));
        }
        address(&mut url);
        let limiter = settings.requests_per_minute.map(|limit| {
            RateLimiter::direct(Quota::per_minute(limit).allow_burst(std::num::NonZeroU32::MIN))
        });
        Ok(Self {
            settings,
            url,
            client: OnceLock::new(),
            limiter,
        })
    }

    pub(super) fn settings(&self) -> &HttpSettings {
        &self.settings
    }

    /// Sends a body and reads the answer, repeating what may pass.
    ///
    /// # Errors
    /// The kind of the last attempt; `Unavailable` when every repetition failed. Counts every attempt.
    pub(super) async fn call(
        &self,
        body: &serde_json::Value,
        read: &(dyn Fn(&[u8]) -> Result<RawAnswer, EmbedError> + Send + Sync),
    ) -> Result<Called, EmbedError> {
        let mut waits = ExponentialBuilder::default()
            .with_min_delay(self.settings.first_wait)
            .with_max_delay(self.settings.longest_wait)
            .with_max_times(self.settings.max_retries as usize)
            .with_jitter()
            .build();
        let mut nonsense = 0;
        let mut requests = 0;
        loop {
            self.wait_for_our_limit().await;
            requests += 1;
            let Failed { class, error } = match self.attempt(body, read).await {
                Ok(answer) => return Ok(Called { answer, requests }),
                Err(failed) => failed,
            };
            let asked = match class {
                Class::Stop(EmbedErrorKind::BadAnswer) if nonsense < NONSENSE_RETRIES => {
                    nonsense += 1;
                    None
                }
                Class::Stop(_) => return Err(error.with_requests(requests)),
                Class::Retry { after } => after,
            };
            if let Some(asked) = asked.filter(|asked| *asked > self.settings.longest_wait) {
                let message = format!("{error}; it asks to come back in {} s", asked.as_secs());
                return Err(
                    EmbedError::new(EmbedErrorKind::Unavailable, message).with_requests(requests)
                );
            }
            let Some(backoff) = waits.next() else {
                let message = format!("{error}, {requests} times in a row; try again later");
                let kind = match class {
                    Class::Stop(kind) => kind,
                    Class::Retry { .. } => EmbedErrorKind::Unavailable,
                };
                return Err(EmbedError::new(kind, message).with_requests(requests));
            };
            let wait = asked.unwrap_or(backoff);
            tracing::debug!(attempt = requests, wait_ms = wait.as_millis(), %error, "repeating a call");
            tokio::time::sleep(wait).await;
        }
    }

    async fn wait_for_our_limit(&self) {
        let Some(limiter) = &self.limiter else { return };
        while let Err(until) = limiter.check() {
            let wait = until.wait_time_from(governor::clock::Clock::now(limiter.clock()));
            tokio::time::sleep(wait.max(Duration::from_millis(1))).await;
        }
    }

    async fn attempt(
        &self,
        body: &serde_json::Value,
        read: &(dyn Fn(&[u8]) -> Result<RawAnswer, EmbedError> + Send + Sync),
    ) -> Result<RawAnswer, Failed> {
        let stop = |error: EmbedError| Failed {
            class: Class::Stop(error.kind()),
            error,
        };
        let mut request = self
            .client()
            .map_err(stop)?
            .post(self.url.clone())
            .json(body);
        if let Some(key) = &self.settings.api_key {
            let mut header = HeaderValue::try_from(format!("Bearer {}", key.expose_secret()))
                .map_err(|_| {
                    stop(EmbedError::new(
                        EmbedErrorKind::Configuration,
                        "the key holds characters that no key has; check EMBEDDING_API_KEY",
                    ))
                })?;
            header.set_sensitive(true);
            request = request.header(AUTHORIZATION, header);
        }
        let response = request
            .send()
            .await
            .map_err(|error| self.unreachable(&error))?;
        let status = response.status().as_u16();
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .map(ToOwned::to_owned);
        let bytes = self.body(response).await?;
        if status == 200 {
            return read(&bytes).map_err(stop);
        }
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4096)]);
        let class = classify(status, retry_after.as_deref(), &text);
        let kind = match &class {
            Class::Stop(kind) => *kind,
            Class::Retry { .. } => EmbedErrorKind::Unavailable,
        };
        let error = EmbedError::new(kind, explain(status, &self.settings.model, &text));
        Err(Failed { class, error })
    }

    /// Reads the body within the limit, counted after decompression.
    async fn body(&self, mut response: Response) -> Result<Vec<u8>, Failed> {
        let mut bytes = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| self.unreachable(&error))?
        {
            if bytes.len() + chunk.len() > LONGEST_ANSWER {
                let error = bad(format!(
                    "an answer of more than {LONGEST_ANSWER} bytes came"
                ));
                return Err(Failed {
                    class: Class::Stop(error.kind()),
                    error,
                });
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    fn client(&self) -> Result<&Client, EmbedError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        // Whoever installs a provider first wins; all of ours are the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .connect_timeout(Duration::from_secs(5).min(self.settings.timeout))
            .timeout(self.settings.timeout)
            .redirect(Policy::none())
            .no_proxy()
            .user_agent("smart-support")
            .build()
            .map_err(|error| {
                EmbedError::new(EmbedErrorKind::Internal, "the HTTP client cannot be set up")
                    .with_source(error.without_url())
            })?;
        Ok(self.client.get_or_init(|| client))
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failed {
        let host = self.url.host_str().unwrap_or_default();
        let port = self.url.port_or_known_default().unwrap_or_default();
        let what = if error.is_connect() {
            "cannot be reached"
        } else if error.is_timeout() {
            "did not answer in time"
        } else {
            "broke the connection off"
        };
        // The library's own text may hold the address with its query; its innermost cause never does.
        let cause =
            std::iter::successors(std::error::Error::source(error), |error| (*error).source())
                .last();
        let cause = cause.map_or_else(String::new, |cause| format!(" ({cause})"));
        let message = format!("the embedding provider at {host}:{port} {what}{cause}");
        Failed {
            class: Class::Retry { after: None },
            error: EmbedError::new(EmbedErrorKind::Unavailable, message),
        }
    }
}

/// This machine, or a network nobody else is on: where plain HTTP is usual.
fn is_near(url: &Url) -> bool {
    match url
        .host_str()
        .unwrap_or_default()
        .trim_matches(['[', ']'])
        .parse::<std::net::IpAddr>()
    {
        Ok(std::net::IpAddr::V4(address)) => address.is_loopback() || address.is_private(),
        Ok(std::net::IpAddr::V6(address)) => address.is_loopback() || address.is_unique_local(),
        Err(_) => {
            let host = url.host_str().unwrap_or_default();
            host == "localhost" || host.ends_with(".localhost") || !host.contains('.')
        }
    }
}
