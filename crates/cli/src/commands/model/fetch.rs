//! `model fetch`: a local model's weights, ahead of time, for images and machines without a network.

use serde::Serialize;

use crate::app::App;
use crate::exit::{ExitCode, Failure};
use crate::parts;

#[derive(Serialize)]
struct Document {
    model: &'static str,
    path: String,
    downloaded: bool,
}

pub(crate) fn run(app: &App, name: Option<&str>) -> Result<ExitCode, Failure> {
    let weights = parts::fetch_model(&app.settings.embedder()?, name, app.output)?;
    let done = if weights.downloaded {
        "fetched and checked"
    } else {
        "already there, and right"
    };
    app.output
        .print(format!("{}: {done}: {}", weights.model, weights.path));
    app.output.document(&Document {
        model: weights.model,
        path: weights.path,
        downloaded: weights.downloaded,
    })?;
    Ok(ExitCode::Done)
}
