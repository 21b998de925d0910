//! Sends calls, repeats what may pass, and reads no more of an answer than is honest.

use std::error::Error;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Proxy, RequestBuilder, Response, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use storage_core::{ImportError, ImportErrorKind};

use super::ServerOptions;

/// Bytes of an answer: a page of records with long texts has a tenth of it.
const LARGEST_ANSWER: usize = 64 << 20;

/// As much of a refusal as is read.
const LONGEST_REFUSAL: usize = 64 << 10;

/// Characters of a server's words in a message.
const QUOTED: usize = 200;

/// A server, and the way to talk to it.
pub(super) struct Client {
    client: reqwest::Client,
    base: Url,
    location: String,
    login: Option<(String, SecretString)>,
    secrets: Vec<SecretString>,
    attempts: u32,
    pause: Duration,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("location", &self.location)
            .finish_non_exhaustive()
    }
}

/// Why a call brought nothing.
#[derive(Debug)]
pub(super) enum Failure {
    /// There is no such thing: 404, 405 or 410.
    Unknown,
    /// The server failed over a record that its index has forgotten.
    Forgotten,
    /// The answer is larger than is read.
    TooLarge,
    /// Anything else.
    Other(ImportError),
}

impl From<ImportError> for Failure {
    fn from(error: ImportError) -> Self {
        Self::Other(error)
    }
}

impl Client {
    /// # Errors
    /// `Refused` for an address that is none, and for a secret that would travel in the open.
    pub(super) fn new(url: &str, options: &ServerOptions) -> Result<Self, ImportError> {
        let refuse = |message: String| Err(ImportError::new(ImportErrorKind::Refused, message));
        let Ok(mut base) = url.trim().parse::<Url>() else {
            return refuse(
                "the server's address is none; write it like http://chroma.example:8000".to_owned(),
            );
        };
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return refuse("the server's address must begin with http:// or https://".to_owned());
        }
        let mut login = options.login.clone();
        if !base.username().is_empty() || base.password().is_some() {
            let password = decoded(base.password().unwrap_or_default());
            login.get_or_insert((decoded(base.username()), SecretString::from(password)));
            let _ = base.set_username("");
            let _ = base.set_password(None);
        }
        base.set_query(None);
        base.set_fragment(None);
        let path = base.path().trim_end_matches('/');
        let path = path
            .strip_suffix("/api/v1")
            .or_else(|| path.strip_suffix("/api/v2"))
            .unwrap_or(path);
        let path = path.trim_end_matches('/').to_owned();
        base.set_path(&path);
        let location = base.as_str().trim_end_matches('/').to_owned();
        let has_secret = login.is_some() || options.token.is_some();
        if has_secret && base.scheme() == "http" && !is_near(&base) && !options.allow_plain_http {
            return refuse(format!(
                "the token or password would travel unencrypted to {}; use https://",
                base.host_str().unwrap_or_default()
            ));
        }
        let mut secrets: Vec<SecretString> = options.token.iter().cloned().collect();
        secrets.extend(login.iter().map(|(_, password)| password.clone()));
        Ok(Self {
            client: build(options, &base, login.is_some())?,
            base,
            location,
            login,
            secrets,
            attempts: options.attempts.max(1),
            pause: options.pause,
        })
    }

    /// The server's address, without anything secret.
    pub(super) fn location(&self) -> &str {
        &self.location
    }

    /// What a path has; `None` where the server knows no such path.
    pub(super) async fn get_if_known<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<Option<T>, ImportError> {
        let mut url = self.url(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        match self.call(|| self.client.get(url.clone())).await {
            Ok(found) => Ok(Some(found)),
            Err(Failure::Unknown) => Ok(None),
            Err(failure) => Err(self.explain(failure)),
        }
    }

    /// The answer to a question.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        let url = self.url(path);
        self.call(|| self.client.post(url.clone()).json(body)).await
    }

    /// Something that is no Chroma server, or not one that we know.
    pub(super) fn unsupported(&self, what: &str) -> ImportError {
        ImportError::new(
            ImportErrorKind::Unsupported,
            format!("{what}: {}; check the address", self.location),
        )
    }

    /// A failure that nobody could do anything about.
    pub(super) fn explain(&self, failure: Failure) -> ImportError {
        match failure {
            Failure::Other(error) => error,
            Failure::Unknown => ImportError::new(
                ImportErrorKind::Changing,
                format!(
                    "{} does not know the collection any more; start again",
                    self.location
                ),
            ),
            Failure::Forgotten => ImportError::new(
                ImportErrorKind::Unavailable,
                format!(
                    "{} fails over its own index; import its directory instead",
                    self.location
                ),
            ),
            Failure::TooLarge => ImportError::new(
                ImportErrorKind::TooLarge,
                format!(
                    "an answer of {} is larger than {} MiB",
                    self.location,
                    LARGEST_ANSWER >> 20
                ),
            ),
        }
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    /// One question with its repetitions: nothing that is asked here changes anything.
    async fn call<T: DeserializeOwned>(
        &self,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<T, Failure> {
        let mut pause = self.pause;
        for attempt in 1.. {
            let mut request = request();
            if let Some((user, password)) = &self.login {
                request = request.basic_auth(user, Some(password.expose_secret()));
            }
            let failed = match request.send().await {
                Ok(response) => match self.take(response).await {
                    Ok(body) => {
                        return serde_json::from_slice(&body).map_err(|error| {
                            let what = "it answers, but not as a Chroma server";
                            Failure::Other(self.unsupported(what).with_source(error))
                        });
                    }
                    Err(failure) => failure,
                },
                Err(error) => Failure::Other(self.unreachable(&error)),
            };
            let passes = matches!(&failed, Failure::Other(error) if error.kind() == ImportErrorKind::Unavailable);
            if !passes || attempt >= self.attempts {
                return Err(failed);
            }
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2);
        }
        // A count without end ends only above.
        Err(Failure::Unknown)
    }

    /// The body of a good answer, or what is the matter.
    async fn take(&self, mut response: Response) -> Result<Vec<u8>, Failure> {
        let status = response.status();
        if status.is_success() {
            let mut body = Vec::new();
            while let Some(chunk) = response
                .chunk()
                .await
                .map_err(|error| self.unreachable(&error))?
            {
                if body.len() + chunk.len() > LARGEST_ANSWER {
                    return Err(Failure::TooLarge);
                }
                body.extend_from_slice(&chunk);
            }
            return Ok(body);
        }
        let mut body = Vec::new();
        while let Ok(Some(chunk)) = response.chunk().await {
            let room = LONGEST_REFUSAL - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if body.len() == LONGEST_REFUSAL {
                break;
            }
        }
        let words = String::from_utf8_lossy(&body);
        Err(self.refusal(status, response.headers(), &words))
    }

    fn refusal(&self, status: StatusCode, headers: &HeaderMap, words: &str) -> Failure {
        let said = self.cleaned(words);
        let (kind, message) = match status.as_u16() {
            404 | 405 | 410 => return Failure::Unknown,
            500 if words.contains("IndexError") || words.contains("TypeError") => {
                return Failure::Forgotten;
            }
            401 | 403 => (
                ImportErrorKind::Refused,
                format!(
                    "{} refuses ({status}); check the token, or user and password",
                    self.location
                ),
            ),
            300..=399 => {
                let to = headers
                    .get(LOCATION)
                    .and_then(|to| to.to_str().ok())
                    .and_then(|to| to.parse::<Url>().ok())
                    .and_then(|to| to.host_str().map(|host| format!(" to {host}")))
                    .unwrap_or_default();
                (
                    ImportErrorKind::Unsupported,
                    format!(
                        "{} leads elsewhere{to} ({status}); name the server's own address",
                        self.location
                    ),
                )
            }
            408 | 429 | 500..=599 => (
                ImportErrorKind::Unavailable,
                format!("{} fails ({status}){said}; try again later", self.location),
            ),
            _ => (
                ImportErrorKind::Unsupported,
                format!(
                    "{} does not understand the question ({status}){said}",
                    self.location
                ),
            ),
        };
        Failure::Other(ImportError::new(kind, message))
    }

    fn unreachable(&self, error: &reqwest::Error) -> ImportError {
        let what = if error.is_connect() {
            "cannot be reached"
        } else if error.is_timeout() {
            "did not answer in time"
        } else {
            "broke the connection off"
        };
        // The library's own text may hold the address; its innermost cause never does.
        let cause = std::iter::successors(error.source(), |error| (*error).source()).last();
        let cause = cause.map_or_else(String::new, |cause| format!(" ({cause})"));
        ImportError::new(
            ImportErrorKind::Unavailable,
            format!("{} {what}{cause}; try again later", self.location),
        )
    }

    /// A server's words for a message: short, on one line, and without the secrets it may repeat.
    fn cleaned(&self, words: &str) -> String {
        let mut words: String = words.chars().filter(|char| !char.is_control()).collect();
        for secret in &self.secrets {
            if !secret.expose_secret().is_empty() {
                words = words.replace(secret.expose_secret(), "***");
            }
        }
        let short: String = words.trim().chars().take(QUOTED).collect();
        match short.is_empty() {
            true => short,
            false => format!(": {short}"),
        }
    }
}

fn build(
    options: &ServerOptions,
    base: &Url,
    has_login: bool,
) -> Result<reqwest::Client, ImportError> {
    // Whoever installs a provider first wins; all of ours are the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let refused = |message: &str| ImportError::new(ImportErrorKind::Refused, message);
    let mut builder = reqwest::Client::builder()
        .connect_timeout(options.connect_timeout.min(options.timeout))
        .timeout(options.timeout)
        .redirect(Policy::none())
        // Repeating is our business.
        .retry(reqwest::retry::never())
        .no_proxy()
        .user_agent("smart-support");
    if let Some(token) = &options.token {
        let mut headers = HeaderMap::new();
        let secret = |text: &str| {
            let mut value = HeaderValue::from_str(text)
                .map_err(|_| refused("the token holds characters that no header may hold"))?;
            value.set_sensitive(true);
            Ok::<_, ImportError>(value)
        };
        headers.insert("x-chroma-token", secret(token.expose_secret())?);
        if !has_login {
            let bearer = format!("Bearer {}", token.expose_secret());
            headers.insert(AUTHORIZATION, secret(&bearer)?);
        }
        builder = builder.default_headers(headers);
    }
    if let Some(proxy) = &options.proxy {
        let proxy = Proxy::all(proxy.as_str())
            .map_err(|_| refused("the proxy is no address; write it like http://proxy:3128"))?;
        builder = builder.proxy(proxy);
    } else if base.scheme() == "http" {
        // Plain HTTP must work where no certificates are installed, as in small containers.
        builder = builder.tls_certs_only([]);
    }
    builder.build().map_err(|error| {
        refused("TLS cannot be set up; install the system's root certificates (ca-certificates)")
            .with_source(error.without_url())
    })
}

/// Userinfo of an address as it was meant: bytes may be written as `%` and two digits.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|two| str::from_utf8(two).ok());
        match digits.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(meant) if byte == b'%' => {
                bytes.push(meant);
                rest = &after[2..];
            }
            _ => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// This machine, or a network nobody else is on: where plain HTTP is usual.
fn is_near(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    match host.trim_matches(['[', ']']).parse() {
        Ok(IpAddr::V4(address)) => address.is_loopback() || address.is_private(),
        Ok(IpAddr::V6(address)) => address.is_loopback() || address.is_unique_local(),
        // A name without a dot is a neighbour: a container, a machine of the same network.
        Err(_) => host == "localhost" || host.ends_with(".localhost") || !host.contains('.'),
    }
}
