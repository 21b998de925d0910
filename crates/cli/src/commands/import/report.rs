//! What an import says when it is done: on the screen, as JSON, and as files.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use storage_core::EmbeddingStore;
use sync_engine::ImportReport;

use crate::app::App;
use crate::args::ImportArgs;
use crate::commands::diff::counted;
use crate::exit::{ExitCode, Failure, usage};
use crate::{parts, private_file, wire};

/// Errors that are printed; `--json` and the report files list all.
const SHOWN: usize = 20;

pub(super) async fn finish(
    app: &App,
    args: &ImportArgs,
    reports: &[ImportReport],
    store: Arc<dyn EmbeddingStore>,
) -> Result<ExitCode, Failure> {
    let output = app.output;
    let described = parts::describe(&app.settings.store);
    let mut document = wire::Import::of(reports, args.dry_run, described);
    document.bytes = parts::bytes_on_disk(&app.settings.store, store).await;
    document.seconds = app.started.elapsed().as_secs_f64();
    if !args.dry_run {
        tracing::info!("[Step 6/6] Reporting...");
    }
    for report in reports {
        for fault in report.faults.iter().take(SHOWN) {
            output.print(format!("{} {}", output.mark(false), line(fault)));
        }
        if report.faults.len() > SHOWN {
            output.print(format!(
                "… and {} more; --json or --metadata-dir list all",
                report.faults.len() - SHOWN
            ));
        }
    }
    for text in summary(&document, reports) {
        output.say(text);
    }
    output.document(&document)?;
    if let Some(directory) = &args.metadata_dir {
        write(directory, &document, reports)?;
    }
    Ok(code(reports))
}

/// Makes the directory of the report before anything moves.
pub(super) fn prepare(directory: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(directory).map_err(|error| {
        usage(format!(
            "the directory of the report, {}, cannot be made: {error}; name another with --metadata-dir",
            directory.display()
        ))
    })
}

fn code(reports: &[ImportReport]) -> ExitCode {
    let differs = |report: &ImportReport| {
        report
            .verified
            .as_ref()
            .is_some_and(|verified| verified.differing > 0)
    };
    if reports.iter().any(differs) {
        ExitCode::FaultsFound
    } else if reports.iter().any(|report| !report.faults.is_empty()) {
        ExitCode::SomeRowsFailed
    } else {
        ExitCode::Done
    }
}

fn line(fault: &storage_core::ImportFault) -> String {
    let mut line = String::new();
    if let Some(row) = fault.row {
        let _ = write!(line, "row {row}, ");
    }
    match &fault.id {
        Some(id) => {
            let _ = write!(line, "{id}: ");
        }
        None if line.is_empty() => {}
        None => line = line.replace(", ", ": "),
    }
    printable(&(line + &fault.reason))
}

/// Text of a source as a terminal may show it: nothing in it moves the cursor or rings a bell.
fn printable(text: &str) -> String {
    text.chars()
        .map(|char| if char.is_control() { '\u{fffd}' } else { char })
        .collect()
}

/// The familiar last page.
fn summary(document: &wire::Import, reports: &[ImportReport]) -> Vec<String> {
    let percent = document.coverage * 100.0;
    let mut lines = vec![
        String::new(),
        if document.dry_run {
            "MIGRATION PLAN (DRY RUN: nothing was written)".to_owned()
        } else {
            "MIGRATION SUMMARY".to_owned()
        },
        "=".repeat(80),
        format!("Duration: {:.2} seconds", document.seconds),
        String::new(),
        format!("Total records: {}", document.source_total),
    ];
    let (done, skipped) = if document.dry_run {
        ("Would migrate", "Would skip")
    } else {
        ("Successfully migrated", "Skipped")
    };
    lines.push(format!("{done}: {}", document.imported));
    lines.push(format!("{skipped} (there already): {}", document.skipped));
    lines.push(format!("Errors: {}", document.errors.len()));
    for (what, count) in [
        ("Written over", document.replaced),
        ("Duplicate ids", document.duplicates),
        ("Conflicts with other rows", document.conflicts),
        (
            "Without text: searchable, can never be embedded again",
            document.without_text,
        ),
        ("No longer in the source, kept", document.gone),
    ] {
        if count > 0 {
            lines.push(format!("{what}: {count}"));
        }
    }
    lines.push(String::new());
    lines.push(format!("Final coverage: {percent:.1}% of the source"));
    if document.spot_checks > 0 {
        lines.push(format!(
            "Compared with the source: {}, every vector bit for bit",
            counted(document.spot_checks, "row")
        ));
    }
    lines.push(format!("Storage path: {}", document.store));
    for report in reports.iter().filter(|report| report.applied) {
        lines.push(format!(
            "Collection {}: undo with `smart-support import rollback {}`",
            report.collection, report.run
        ));
    }
    if let Some(report) = reports.iter().find(|report| report.applied) {
        lines.push("\nNext steps:".to_owned());
        lines.push(format!(
            "1. Ask: smart-support search \"QUESTION\" --collection {}",
            crate::output::shell_word(report.collection.as_str())
        ));
        lines.push("2. Check the store at any time: smart-support validate".to_owned());
        lines.push("3. Keep the old store until you are sure".to_owned());
    } else if document.dry_run {
        lines.push("\nRun it without --dry-run to move the records.".to_owned());
    }
    lines
}

/// Both files of the report; neither is ever half written.
fn write(
    directory: &Path,
    document: &wire::Import,
    reports: &[ImportReport],
) -> Result<(), Failure> {
    let json = serde_json::to_string_pretty(document).map_err(std::io::Error::from)?;
    for (name, text) in [
        ("smart-support-import.json", json),
        ("smart-support-import.md", markdown(document, reports)),
    ] {
        private_file::report(directory, name, &text)?;
    }
    Ok(())
}

fn markdown(document: &wire::Import, reports: &[ImportReport]) -> String {
    let mut text = String::from("# Import\n\n");
    for line in summary(document, reports) {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('=') {
            continue;
        }
        let _ = writeln!(text, "- {line}");
    }
    for report in reports {
        let _ = writeln!(
            text,
            "\n## {} → {}\n",
            cell(&report.name),
            cell(report.collection.as_str())
        );
        let _ = writeln!(text, "| | |\n| --- | --- |");
        let model = report
            .model
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        for (what, value) in [
            ("Source", format!("{} ({})", report.location, report.kind)),
            ("Model", model),
            ("Metric of the source", report.metric.as_str().to_owned()),
            ("Run", report.run.to_string()),
            ("Records", report.source_total.to_string()),
            ("New", report.added.to_string()),
            ("Written over", report.replaced.to_string()),
            ("There already", report.unchanged.to_string()),
            ("Errors", report.faults.len().to_string()),
        ] {
            let _ = writeln!(text, "| {what} | {} |", cell(&value));
        }
        if !report.faults.is_empty() {
            let _ = writeln!(text, "\n| id | row | reason |\n| --- | --- | --- |");
        }
        for fault in &report.faults {
            let _ = writeln!(
                text,
                "| {} | {} | {} |",
                cell(fault.id.as_deref().unwrap_or_default()),
                fault.row.map(|row| row.to_string()).unwrap_or_default(),
                cell(&fault.reason)
            );
        }
    }
    text
}

/// Text of a source inside a table: it must not end its cell.
fn cell(text: &str) -> String {
    printable(text)
        .replace('\\', "\\\\")
        .replace('|', "\\|")
        .replace('<', "&lt;")
}
