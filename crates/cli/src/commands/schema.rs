//! `schema status` and `schema migrate`.

use serde::Serialize;
use storage_core::{SchemaStatus, StoreErrorKind};

use crate::app::App;
use crate::args::SchemaCommand;
use crate::exit::{ExitCode, Failure};
use crate::parts::{self, Access};

#[derive(Serialize)]
struct Document {
    store: String,
    current: u32,
    latest: u32,
    pending: Vec<String>,
    applied: Vec<String>,
}

pub(crate) async fn run(app: &App, command: &SchemaCommand) -> Result<ExitCode, Failure> {
    match command {
        SchemaCommand::Status => {
            let status = parts::schema_status(&app.settings.store).await?;
            report(app, status, Vec::new())
        }
        SchemaCommand::Migrate => migrate(app).await,
    }
}

/// Creates the store where there is none, and applies what is pending.
pub(crate) async fn migrate(app: &App) -> Result<ExitCode, Failure> {
    let pending = match parts::schema_status(&app.settings.store).await {
        Ok(before) => before.pending,
        // What cannot be looked at may still be put right by a writer: a migration that was cut off has left a journal.
        Err(error) if matches!(error.kind(), StoreErrorKind::NotFound | StoreErrorKind::Io) => {
            Vec::new()
        }
        Err(error) => return Err(error.into()),
    };
    app.open(Access::Create, None).await?;
    report(
        app,
        parts::schema_status(&app.settings.store).await?,
        pending,
    )
}

fn report(app: &App, status: SchemaStatus, applied: Vec<String>) -> Result<ExitCode, Failure> {
    let output = app.output;
    for name in &applied {
        output.print(format!("applied {name}"));
    }
    output.print(format!("Schema {} of {}", status.current, status.latest));
    for name in &status.pending {
        output.print(format!("pending {name}"));
    }
    if !status.pending.is_empty() {
        output.print("Apply with: smart-support schema migrate");
    }
    let store = parts::describe(&app.settings.store);
    output.document(&Document {
        store,
        current: status.current,
        latest: status.latest,
        pending: status.pending,
        applied,
    })?;
    Ok(ExitCode::Done)
}
