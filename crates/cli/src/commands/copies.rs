//! `backup` and `restore`: a whole store out and in, checked on the way.

use std::path::Path;

use storage_core::{CopyReport, IntegrityReport, StoreError, StoreErrorKind};

use crate::app::{self, App};
use crate::args::{BackupArgs, RestoreArgs};
use crate::commands::status::size;
use crate::exit::{ExitCode, Failure};
use crate::parts;
use crate::wire;

pub(crate) fn backup(app: &App, args: &BackupArgs) -> Result<ExitCode, Failure> {
    let report = parts::backup(
        &app.settings.store,
        &app.opening(),
        &args.file,
        !args.no_verify,
        args.force,
    )
    .map_err(refusal)?;
    let output = app.output;
    let shown = args.file.display();
    if report.published {
        output.print(format!(
            "Backup written: {shown} ({}): {} rows, {} vectors, generation {}",
            size(report.bytes),
            report.records,
            report.vectors,
            report.generation.0
        ));
        output.say(checked(&report));
        output.say(format!(
            "Put it back with: smart-support restore {}",
            quoted(&args.file)
        ));
    } else {
        faults(app, report.validation.as_ref());
        output.print(format!(
            "\nNo backup was written: the store has faults. Put them right with `smart-support repair`, or copy the \
             store as it is with `smart-support backup --no-verify {}`",
            quoted(&args.file)
        ));
    }
    document(app, &args.file, &report)
}

pub(crate) fn restore(app: &App, args: &RestoreArgs) -> Result<ExitCode, Failure> {
    let report = parts::restore(
        &app.settings.store,
        &app.opening(),
        &args.file,
        args.force,
        app::now(),
    )
    .map_err(refusal)?;
    let output = app.output;
    if report.published {
        output.print(format!(
            "Restored {} from {} ({}): {} rows, {} vectors, generation {}",
            parts::describe(&app.settings.store),
            args.file.display(),
            size(report.bytes),
            report.records,
            report.vectors,
            report.generation.0
        ));
        output.say(checked(&report));
        if let Some(kept) = &report.kept {
            output.print(format!("What was there is kept: {}", kept.display()));
        }
        if !report.schema.pending.is_empty() {
            output.print(format!(
                "The backup has schema {}, this build needs {}; upgrade it with `smart-support schema migrate`",
                report.schema.current, report.schema.latest
            ));
        }
    } else {
        faults(app, report.validation.as_ref());
        output.print(
            "\nNothing was restored: the backup has faults, the store is as it was. Use another backup, or repair \
             this one: smart-support repair --store sqlite:FILE",
        );
    }
    document(app, &args.file, &report)
}

fn document(app: &App, file: &Path, report: &CopyReport) -> Result<ExitCode, Failure> {
    let store = parts::describe(&app.settings.store);
    let seconds = app.started.elapsed().as_secs_f64();
    app.output
        .document(&wire::Copy::of(report, store, file, seconds))?;
    Ok(if report.published {
        ExitCode::Done
    } else {
        ExitCode::FaultsFound
    })
}

fn checked(report: &CopyReport) -> &'static str {
    match &report.validation {
        None => "Not checked, as asked",
        Some(_) if report.schema.pending.is_empty() => {
            "Every page, row and vector of it was checked"
        }
        Some(_) => {
            "Every page of it was checked; rows of an older schema are checked once it is upgraded"
        }
    }
}

/// Prints what a check found.
pub(crate) fn faults(app: &App, validation: Option<&IntegrityReport>) {
    let checks = validation.iter().flat_map(|report| &report.checks);
    for check in checks.filter(|check| !check.ok) {
        app.output.print(format!(
            "{} {}: {} (found {}, expected {})",
            app.output.mark(false),
            check.name,
            check.detail,
            check.found,
            check.expected
        ));
    }
}

/// A file that must not be written over is a matter of safety, not a failure.
fn refusal(error: StoreError) -> Failure {
    let safety = error.kind() == StoreErrorKind::Invalid;
    let failure = Failure::from(error);
    if safety {
        return Failure {
            code: ExitCode::Refused,
            ..failure
        };
    }
    failure
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let shown = path.display().to_string();
    if shown
        .chars()
        .all(|char| char.is_alphanumeric() || "/._-".contains(char))
    {
        shown
    } else {
        format!("'{}'", shown.replace('\'', r"'\''"))
    }
}
