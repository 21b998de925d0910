//! A running service, asked from outside: what `status --service` and `repair --service` tell.

use serde::Deserialize;

use crate::app::App;
use crate::commands::serve;
use crate::env;
use crate::exit::{ExitCode, Failure};
use crate::parts::{self, Question};
use crate::wire::{IndexState, RunningService};

/// Whether its index agrees with its store.
pub(crate) async fn drift(app: &App, url: &str) -> Result<RunningService, Failure> {
    asked(app, url, Question::Drift).await
}

/// Has its index built anew, and tells what that changed.
pub(crate) async fn rebuild(app: &App, url: &str) -> Result<ExitCode, Failure> {
    let service = asked(app, url, Question::Rebuild).await?;
    app.output.print(format!(
        "The index of {url} was built anew from its store: {service}"
    ));
    app.output.document(&service)?;
    Ok(ExitCode::Done)
}

async fn asked(app: &App, url: &str, question: Question) -> Result<RunningService, Failure> {
    let key = serve::own_key(app)?;
    let allow_plain_http = app.settings.flag(env::ALLOW_PLAIN_HTTP)?;
    let answer = parts::ask(url, key.as_ref(), allow_plain_http, question).await?;
    let index = IndexState::deserialize(&mut serde_json::Deserializer::from_slice(&answer));
    let index = index.map_err(|error| {
        Failure::new(
            ExitCode::Failed,
            format!("{url} answers, but not as a service of this program: {error}"),
        )
    })?;
    Ok(RunningService {
        url: url.to_owned(),
        index,
    })
}
