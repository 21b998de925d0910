//! `smart-support`: parses, resolves settings once, composes, calls, prints.

mod app;
mod args;
mod commands;
mod env;
mod exit;
mod interrupt;
mod memory;
mod output;
mod panics;
mod parts;
mod plan_file;
mod private_file;
mod progress;
mod record;
mod settings;
mod wire;

use std::process;
use std::sync::Arc;
use std::time::Instant;

use clap::Parser;

use crate::app::App;
use crate::args::Cli;
use crate::exit::{ExitCode, Failure};
use crate::output::Output;
use crate::settings::Settings;

fn main() {
    let started = Instant::now();
    panics::keep_parser_quiet();
    // Clap prints help and usage errors itself, with "did you mean", and leaves with 0 or 2.
    let cli = Cli::parse();
    let code = match run(&cli, started) {
        Ok(code) => code,
        Err(failure) => {
            output::print_failure(&failure);
            failure.code
        }
    };
    process::exit(code as i32);
}

fn run(cli: &Cli, started: Instant) -> Result<ExitCode, Failure> {
    let output = Output::new(&cli.global, cli.command.is_service());
    memory::keep_private();
    if let Some(code) = commands::without_settings(&cli.command, output)? {
        return Ok(code);
    }
    let settings = match Settings::resolve(cli) {
        Ok(settings) => settings,
        Err(failure) => {
            return commands::without_valid_settings(&cli.command, output, &failure)
                .unwrap_or(Err(failure));
        }
    };
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    let app = Arc::new(App {
        verbose: cli.global.verbose > 0,
        settings,
        output,
        started,
        command: cli.command.name(),
    });
    if let Some(outcome) = commands::with_own_runtime(&app, &cli.command) {
        return outcome;
    }
    // One thread: the work is on the store's own thread, in the provider, or in the model's own threads.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(commands::run(&app, &cli.command))
}
