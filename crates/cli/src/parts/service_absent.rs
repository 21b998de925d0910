//! Stands in for the service in builds without it.

use std::sync::Arc;

use secrecy::SecretString;

use crate::app::App;
use crate::commands::serve::Serving;
use crate::exit::{ExitCode, Failure, usage};

pub(crate) fn serve(_app: &Arc<App>, _serving: Serving) -> Result<ExitCode, Failure> {
    Err(absent())
}

pub(crate) fn hash_key(_key: &SecretString) -> Result<String, Failure> {
    Err(absent())
}

/// What a running service is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Question {
    Drift,
    Rebuild,
}

#[allow(clippy::unused_async, reason = "the twin's shape")]
pub(crate) async fn ask(
    _url: &str,
    _key: Option<&SecretString>,
    _allow_plain_http: bool,
    _question: Question,
) -> Result<Vec<u8>, Failure> {
    Err(absent())
}

fn absent() -> Failure {
    usage(
        "this build has no service; build it with its feature: cargo build --release -p cli --features server",
    )
}
