//! The one road to every provider: sends a call, repeats it while that may help, and waits as asked.

use std::fmt;
use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::select;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use reqwest::header::{
    AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER,
};
use reqwest::redirect::Policy;
use reqwest::{Client, Proxy, Response, Url};
use secrecy::{ExposeSecret, SecretString};

use super::address;
use super::answer::{self, Answer, Asked};
use super::classify::{
    Class, ComeBack, Dialect, Failed, about_dimensions, classify, cleaned, explain,
    explain_redirect, provider_words, status_inside,
};
use super::retry::{Next, Retries};
use crate::settings::HttpSettings;
use crate::{BatchLimits, EmbedError, EmbedErrorKind, Embedded, Meter, Pause};

/// As much of a refusal as is read: enough for every provider's words.
const LONGEST_REFUSAL: usize = 64 << 10;

/// Waits by the clock.
#[derive(Debug)]
struct Sleep;

#[async_trait]
impl Pause for Sleep {
    async fn pause(&self, wait: Duration) {
        tokio::time::sleep(wait).await;
    }
}

/// An address, a key and the way to talk to them. The connection is made at the first call: a run that embeds
/// nothing pays for no TLS.
pub(super) struct HttpClient {
    settings: HttpSettings,
    dialect: Dialect,
    key: Option<SecretString>,
    url: Url,
    client: OnceLock<Client>,
    limiter: Option<DefaultDirectRateLimiter>,
    pause: Arc<dyn Pause>,
    /// Numbers per vector of the first good answer: a provider that changes its mind is not one model.
    width: OnceLock<NonZeroU32>,
    told_of_other_model: AtomicBool,
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient")
            .field("host", &self.url.host_str())
            .finish_non_exhaustive()
    }
}

impl HttpClient {
    /// Checks the settings; connects to nothing.
    ///
    /// # Errors
    /// `Configuration` for an address that is none, or for a key that would travel in the open.
    pub(super) fn new(settings: HttpSettings, dialect: Dialect) -> Result<Self, EmbedError> {
        // An empty variable is how a shell says "no key".
        let key = settings.api_key.as_ref().map(|key| key.expose_secret());
        let key = key
            .map(str::trim)
            .filter(|key| !key.is_empty())
            .map(SecretString::from);
        let url = address::endpoint(&settings, dialect, key.is_some())?;
        // A burst of one spaces calls evenly: no second sees more than its share of the minute.
        let limiter = settings.requests_per_minute.map(|limit| {
            RateLimiter::direct(Quota::per_minute(limit).allow_burst(NonZeroU32::MIN))
        });
        Ok(Self {
            settings,
            dialect,
            key,
            url,
            client: OnceLock::new(),
            limiter,
            pause: Arc::new(Sleep),
            width: OnceLock::new(),
            told_of_other_model: AtomicBool::new(false),
        })
    }

    /// Waits in this way before it repeats a call.
    pub(super) fn with_pause(mut self, pause: Arc<dyn Pause>) -> Self {
        self.pause = pause;
        self
    }

    /// The limits of the settings, within those of the provider.
    pub(super) fn limits(&self, most_texts: usize) -> BatchLimits {
        BatchLimits {
            texts: self.settings.limits.texts.clamp(1, most_texts),
            bytes: self.settings.limits.bytes,
        }
    }

    /// Sends a body that holds these texts and reads the answer, repeating what may pass and the meter admits.
    ///
    /// # Errors
    /// The kind of the last attempt; `Unavailable` when every repetition failed. Counts every attempt.
    pub(super) async fn call(
        &self,
        body: Vec<u8>,
        inputs: &[String],
        meter: &Meter,
    ) -> Result<Embedded, EmbedError> {
        let asked = Asked {
            dialect: self.dialect,
            texts: inputs.len(),
            dimensions: self.settings.dimensions,
            shortened: self.settings.send_dimensions && self.settings.dimensions.is_some(),
        };
        let mut retries = Retries::new(&self.settings);
        let mut requests = 0;
        loop {
            self.wait_for_our_limit(meter).await;
            let admission = meter.admit(inputs).await;
            let admission = admission.map_err(|error| error.with_requests(requests))?;
            requests += 1;
            let Failed { class, error } = match self.attempt(&body, asked).await {
                Ok(answer) => {
                    let first = answer
                        .vectors
                        .first()
                        .map(storage_core::Embedding::dimensions);
                    if let Some(width) = first.and_then(NonZeroU32::new) {
                        self.width.get_or_init(|| width);
                    }
                    admission.billed(answer.tokens);
                    self.compare_model(answer.model.as_deref());
                    return Ok(Embedded {
                        vectors: answer.vectors,
                        tokens: answer.tokens,
                        requests,
                    });
                }
                Err(failed) => failed,
            };
            if error.kind() == EmbedErrorKind::BadAnswer {
                // Nonsense was computed too, and is billed.
                admission.lost();
            } else {
                drop(admission);
            }
            let wait = match retries.after(&class) {
                Next::Repeat(wait) => wait,
                next => return Err(give_up(error, &class, &next, requests)),
            };
            let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            tracing::debug!(attempt = requests, wait_ms, %error, "repeating a call");
            unless_stopped(self.pause.pause(wait), meter).await;
        }
    }

    async fn wait_for_our_limit(&self, meter: &Meter) {
        let Some(limiter) = &self.limiter else { return };
        while let Err(until) = limiter.check()
            && !meter.is_stopped()
        {
            let wait = until.wait_time_from(governor::clock::Clock::now(limiter.clock()));
            let wait = wait.max(Duration::from_millis(1));
            unless_stopped(tokio::time::sleep(wait), meter).await;
        }
    }

    async fn attempt(&self, body: &[u8], asked: Asked) -> Result<Answer, Failed> {
        let mut request = self
            .client()?
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .body(body.to_vec());
        if let Some(key) = &self.key {
            let header = HeaderValue::try_from(format!("Bearer {}", key.expose_secret()));
            let mut header = header.map_err(|_| {
                EmbedError::new(
                    EmbedErrorKind::Configuration,
                    "the key holds characters that no key has; check EMBEDDING_API_KEY",
                )
            })?;
            header.set_sensitive(true);
            request = request.header(AUTHORIZATION, header);
        }
        let response = request
            .send()
            .await
            .map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let headers = response.headers().clone();
        if !status.is_success() {
            let body = read_refusal(response).await;
            return Err(self.refused(status.as_u16(), &headers, &body));
        }
        let body = self.read_answer(response, asked.longest_answer()).await?;
        // Now, not when the call began: an answer to another call may have come meanwhile.
        let asked = Asked {
            dimensions: asked.dimensions.or(self.width.get().copied()),
            ..asked
        };
        match answer::read(&body, asked)? {
            Some(answer) => Ok(answer),
            None => Err(self.error_inside(&headers, &body)),
        }
    }

    /// Reads the body within the limit, counted after decompression.
    async fn read_answer(&self, mut response: Response, limit: usize) -> Result<Vec<u8>, Failed> {
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| self.unreachable(&error))?
        {
            if body.len() + chunk.len() > limit {
                return Err(Failed::nonsense(format!(
                    "the provider's answer is longer than {limit} bytes, which no answer to these texts is"
                )));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// What a status other than success means.
    fn refused(&self, status: u16, headers: &HeaderMap, body: &str) -> Failed {
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let come_back = ComeBack {
            retry_after: header(RETRY_AFTER),
            date: header(DATE),
        };
        let class = classify(status, come_back, body);
        if class == Class::Stop(EmbedErrorKind::Rejected)
            && let Some(failed) = self.shortening_refused(status, body)
        {
            return failed;
        }
        let kind = match &class {
            Class::Stop(kind) => *kind,
            Class::Retry { .. } => EmbedErrorKind::Unavailable,
        };
        let message = if (300..400).contains(&status) {
            let target = header(LOCATION).and_then(|target| self.url.join(target).ok());
            let host = target.as_ref().and_then(Url::host_str);
            // A host may hold the key, in small letters at that.
            let key = self.secret().map(str::to_lowercase);
            let host =
                host.filter(|host| key.is_none_or(|key| !host.to_lowercase().contains(&key)));
            explain_redirect(status, host)
        } else {
            let words = provider_words(body, self.secret());
            explain(status, self.dialect, &self.settings.model, &words)
        };
        Failed {
            class,
            error: EmbedError::new(kind, message),
        }
    }

    /// A refusal that may be about the width asked for and not about a text. Only before the first good answer: a
    /// provider that has given vectors of that width takes it.
    fn shortening_refused(&self, status: u16, body: &str) -> Option<Failed> {
        let asked = self
            .settings
            .dimensions
            .filter(|_| self.settings.send_dimensions && self.width.get().is_none())?;
        let words = provider_words(body, self.secret());
        let model = &self.settings.model;
        // Splitting would send every text alone to learn the same.
        if about_dimensions(body) {
            let message = format!(
                "the provider does not give vectors of {asked} dimensions with {model} ({status}: {words}); leave \
                 --dimensions (EMBEDDING_DIMENSIONS) out, or name a number or a model that it takes"
            );
            return Some(EmbedError::new(EmbedErrorKind::Configuration, message).into());
        }
        let message = format!(
            "{}; if it refuses every text, it may not know the field dimensions: leave --dimensions \
             (EMBEDDING_DIMENSIONS) out",
            explain(status, self.dialect, model, &words)
        );
        Some(EmbedError::new(EmbedErrorKind::Rejected, message).into())
    }

    /// What a success without vectors means: some gateways send every error so.
    fn error_inside(&self, headers: &HeaderMap, body: &[u8]) -> Failed {
        let body = String::from_utf8_lossy(&body[..body.len().min(LONGEST_REFUSAL)]);
        match status_inside(&body) {
            Some(status) => self.refused(status, headers, &body),
            None if body.contains("\"error\"") => {
                let words = provider_words(&body, self.secret());
                Failed::nonsense(format!(
                    "the provider answers with an error and no code: {words}"
                ))
            }
            None => Failed::nonsense("the provider's answer holds no vectors"),
        }
    }

    fn client(&self) -> Result<&Client, EmbedError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        // Whoever installs a provider first wins; all of ours are the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .connect_timeout(self.settings.connect_timeout.min(self.settings.timeout))
            .timeout(self.settings.timeout)
            .redirect(Policy::none())
            // Repeating is our business: every attempt is counted.
            .retry(reqwest::retry::never())
            .no_proxy()
            .user_agent("smart-support");
        if let Some(proxy) = &self.settings.proxy {
            let proxy = Proxy::all(proxy.as_str()).map_err(|_| {
                EmbedError::new(
                    EmbedErrorKind::Configuration,
                    "the proxy is no address; write it like http://proxy:3128",
                )
            })?;
            builder = builder.proxy(proxy);
        } else if self.url.scheme() == "http" {
            // Plain HTTP must work where no certificates are installed, as in small containers.
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build().map_err(|error| {
            EmbedError::new(
                EmbedErrorKind::Configuration,
                "TLS cannot be set up; install the system's root certificates (ca-certificates)",
            )
            .with_source(error.without_url())
        })?;
        Ok(self.client.get_or_init(|| client))
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failed {
        let host = self.url.host_str().unwrap_or_default();
        let port = self.url.port_or_known_default().unwrap_or_default();
        if let Some(cause) = tls_refusal(error) {
            let message = format!(
                "no TLS connection to {host}:{port}: {cause}; check EMBEDDING_BASE_URL, or install the certificate \
                 of its issuer"
            );
            return EmbedError::new(EmbedErrorKind::Configuration, message).into();
        }
        let what = if error.is_connect() {
            "cannot be reached"
        } else if error.is_timeout() {
            "did not answer in time"
        } else {
            "broke the connection off"
        };
        // The library's own text may hold the address with its query; its innermost cause never does.
        let cause = causes(error).last();
        let cause = cause.map_or_else(String::new, |cause| format!(" ({cause})"));
        Failed::passing(
            None,
            format!("the embedding provider at {host}:{port} {what}{cause}"),
        )
    }

    /// Says once that the provider answers with another model than was asked for; gateways rename models, so this is
    /// no error.
    fn compare_model(&self, answered: Option<&str>) {
        let asked = &*self.settings.model;
        let other =
            answered.filter(|answered| !answered.contains(asked) && !asked.contains(answered));
        if let Some(answered) = other
            && !self.told_of_other_model.swap(true, Ordering::Relaxed)
        {
            let answered = cleaned(answered, self.secret());
            tracing::warn!(asked, answered, "the provider names another model");
        }
    }

    fn secret(&self) -> Option<&str> {
        self.key.as_ref().map(|key| key.expose_secret())
    }
}

/// Somebody who wants to leave does not wait for an attempt that will not be made.
async fn unless_stopped(wait: impl Future<Output = ()>, meter: &Meter) {
    let (waited, stopped) = (pin!(wait), pin!(meter.stopped()));
    select(waited, stopped).await;
}

/// The last error of a call, with what was tried.
fn give_up(error: EmbedError, class: &Class, next: &Next, requests: u32) -> EmbedError {
    let error = match (next, class) {
        (Next::AskedTooLong(asked), _) => EmbedError::new(
            EmbedErrorKind::Unavailable,
            format!("{error}; it asks to come back in {} s", asked.as_secs()),
        ),
        (_, Class::Retry { .. }) => EmbedError::new(
            EmbedErrorKind::Unavailable,
            format!("{error}, attempt {requests}; try again later"),
        ),
        _ => error,
    };
    error.with_requests(requests)
}

/// The body of a refusal, as far as it can be had: the status alone says what to do.
async fn read_refusal(mut response: Response) -> String {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = LONGEST_REFUSAL - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() == LONGEST_REFUSAL {
            break;
        }
    }
    String::from_utf8_lossy(&body).into_owned()
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(std::error::Error::source(error), |error| (*error).source())
}

/// A certificate that is not trusted, or a server that speaks no TLS: no repetition mends that.
fn tls_refusal(error: &reqwest::Error) -> Option<&rustls::Error> {
    causes(error)
        .filter_map(|mut cause| {
            // I/O errors hide what they wrap from `source`, and wrap each other.
            while let Some(wrapped) = cause
                .downcast_ref::<std::io::Error>()
                .and_then(std::io::Error::get_ref)
            {
                cause = wrapped;
            }
            cause.downcast_ref::<rustls::Error>()
        })
        .find(|error| {
            use rustls::Error::{InvalidCertificate, InvalidMessage};
            matches!(error, InvalidCertificate(_) | InvalidMessage(_))
        })
}
