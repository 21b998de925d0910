//! Asks a running service.

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

/// Asks, and gives the answer as it came.
pub(crate) async fn ask(
    url: &str,
    key: Option<&SecretString>,
    question: Question,
) -> Result<Vec<u8>, Failure> {
    let base = url.trim_end_matches('/');
    if !base.starts_with("http://") && !base.starts_with("https://") {
        return Err(usage(format!(
            "{url:?} is no address of a service; write it like http://127.0.0.1:8080"
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
