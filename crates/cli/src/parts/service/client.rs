//! Asks a running service.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::exit::{ExitCode, Failure, usage};

/// A rebuild reads the whole store, and the service has its own deadline.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a running service is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Question {
    /// Whether its index agrees with its store.
    Drift,
    /// To build its index anew.
    Rebuild,
}

/// What a service says went wrong.
#[derive(Debug, Deserialize)]
struct Problem {
    detail: String,
}

/// Whether others can read what is sent there. An address that cannot be read is not asked.
fn is_exposed(base: &str) -> bool {
    let Ok(url) = base.parse::<reqwest::Url>() else {
        return true;
    };
    let host = url.host_str().unwrap_or_default();
    let is_near = match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    };
    url.scheme() == "http" && !is_near
}

/// Asks, and gives the answer as it came.
pub(crate) async fn ask(
    url: &str,
    key: Option<&SecretString>,
    allow_plain_http: bool,
    question: Question,
) -> Result<Vec<u8>, Failure> {
    let base = url.trim_end_matches('/');
    if !base.starts_with("http://") && !base.starts_with("https://") {
        return Err(usage(format!(
            "{url:?} is no address of a service; write it like http://127.0.0.1:8080"
        )));
    }
    if key.is_some() && !allow_plain_http && is_exposed(base) {
        return Err(usage(format!(
            "the admin key would travel unencrypted to {base}; use https://, or allow it with \
             EMBEDDING_ALLOW_PLAIN_HTTP=true"
        )));
    }
    // Whoever installs a provider first wins; all of ours are the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .timeout(PATIENCE)
        .redirect(Policy::none())
        .no_proxy()
        .user_agent("smart-support");
    if base.starts_with("http://") {
        // Plain HTTP must work where no certificates are installed, as in small containers.
        builder = builder.tls_certs_only([]);
    }
    let failed = |error: reqwest::Error| {
        let code = if error.is_builder() {
            ExitCode::Usage
        } else {
            ExitCode::TryAgain
        };
        let why = std::iter::successors(std::error::Error::source(&error), |error| error.source());
        let why = why
            .last()
            .map_or_else(String::new, |why| format!(": {why}"));
        Failure::new(
            code,
            format!("no service answers at {base}{why}; start one with `smart-support serve`"),
        )
    };
    let client = builder.build().map_err(failed)?;
    let request = match question {
        Question::Drift => client.get(format!("{base}/vectors/drift")),
        Question::Rebuild => client.post(format!("{base}/vectors/rebuild")),
    };
    let request = match key {
        Some(key) => request.header("X-API-Key", key.expose_secret()),
        None => request,
    };
    let response = request.send().await.map_err(failed)?;
    let status = response.status();
    let body = response.bytes().await.map_err(failed)?;
    if status.is_success() {
        return Ok(body.into());
    }
    let detail = serde_json::from_slice(&body)
        .map_or_else(|_| status.to_string(), |problem: Problem| problem.detail);
    let code = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => ExitCode::Usage,
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => ExitCode::TryAgain,
        _ => ExitCode::Failed,
    };
    let next = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            "; set SMART_SUPPORT_API_KEY to an admin key of that service"
        }
        _ => "",
    };
    Err(Failure::new(
        code,
        format!("{base} refuses: {detail}{next}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_shown_to_nobody_on_the_way() {
        for near in [
            "http://127.0.0.1:8080",
            "http://[::1]:8080",
            "http://localhost",
            "https://service.example",
        ] {
            assert!(!is_exposed(near), "{near}");
        }
        for far in [
            "http://service.example",
            "http://10.0.0.7:8080",
            "http://127.0.0.1@service.example",
            "http://localhost.example",
            "http://",
        ] {
            assert!(is_exposed(far), "{far}");
        }
    }
}
