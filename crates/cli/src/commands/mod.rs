//! One file per command. Each composes, calls, and hands what came out to `output`.

mod apply;
mod cache;
mod config;
mod copies;
mod copy;
mod diff;
mod doctor;
mod estimate;
pub(crate) mod eval;
mod import;
mod index;
mod key;
mod lint;
mod migrate;
mod model;
mod reference;
mod repair;
mod running;
mod schema;
mod search;
pub(crate) mod serve;
pub(crate) mod source;
mod status;
pub(crate) mod sync;
mod validate;

use std::sync::Arc;

use clap::CommandFactory;

use crate::app::App;
use crate::args::{Cli, Command};
use crate::exit::{ExitCode, Failure};
use crate::output::Output;
use crate::parts;

/// Commands that need no settings, so that they work whatever the settings are.
pub(crate) fn without_settings(
    command: &Command,
    output: Output,
) -> Result<Option<ExitCode>, Failure> {
    match command {
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "smart-support", &mut script);
            output.raw(&String::from_utf8_lossy(&script));
        }
        Command::ExtractDocument => parts::extract_document()?,
        Command::Reference { directory } => reference::write(directory)?,
        _ => return Ok(None),
    }
    Ok(Some(ExitCode::Done))
}

/// Commands that have something to say of settings that cannot be read.
pub(crate) fn without_valid_settings(
    command: &Command,
    output: Output,
    failure: &Failure,
) -> Option<Result<ExitCode, Failure>> {
    match command {
        Command::Doctor(_) => Some(doctor::without_settings(output, failure)),
        _ => None,
    }
}

/// Runs a command that brings its own runtime; `None` for every other.
pub(crate) fn with_own_runtime(
    app: &Arc<App>,
    command: &Command,
) -> Option<Result<ExitCode, Failure>> {
    match command {
        Command::Serve(args) => Some(serve::run(app, args)),
        _ => None,
    }
}

/// Runs a command to its exit code.
pub(crate) async fn run(app: &App, command: &Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Migrate(args) => migrate::run(app, args).await,
        Command::Sync(args) => sync::run(app, args, sync::Entrance::Sync).await,
        Command::Apply(args) => apply::run(app, args).await,
        Command::Validate(args) => validate::run(app, args).await,
        Command::Lint(args) => lint::run(app, args),
        Command::Search(args) => search::run(app, args).await,
        Command::Similar(args) => search::similar(app, args).await,
        Command::Status(args) => status::run(app, args).await,
        Command::Schema(command) => schema::run(app, command).await,
        Command::Import(command) => import::run(app, command).await,
        Command::Backup(args) => copies::backup(app, args),
        Command::Restore(args) => copies::restore(app, args),
        Command::Copy(args) => copy::run(app, args).await,
        Command::Diff(args) => diff::run(app, args).await,
        Command::Repair(args) => repair::run(app, args).await,
        Command::Eval(args) => eval::run(app, args).await,
        Command::Model(command) => model::run(app, command).await,
        Command::Config(command) => config::run(app, command),
        Command::Cache(command) => cache::run(app, command).await,
        Command::Index(command) => index::run(app, command).await,
        Command::Doctor(args) => doctor::run(app, args).await,
        Command::Key(command) => key::run(app, command),
        // It has a runtime of its own.
        Command::Serve(_)
        | Command::Completions { .. }
        | Command::ExtractDocument
        | Command::Reference { .. } => Ok(ExitCode::Done),
    }
}
