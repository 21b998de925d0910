//! `repair`: puts right what `validate` found, from what is already paid for.

use storage_core::{DamagedRow, RepairReport};

use crate::app::{self, App};
use crate::args::RepairArgs;
use crate::commands::{copies, running};
use crate::exit::{ExitCode, Failure};
use crate::parts;
use crate::wire;

/// How many rows a table names; `--json` and `-v` name all.
const NAMED: usize = 20;

pub(crate) async fn run(app: &App, args: &RepairArgs) -> Result<ExitCode, Failure> {
    if let Some(url) = &args.service {
        return running::rebuild(app, url).await;
    }
    let report = parts::repair(
        &app.settings.store,
        &app.opening(),
        args.dry_run,
        args.drop_unembedded,
        app::now(),
    )?;
    print(app, args, &report);
    let store = parts::describe(&app.settings.store);
    let seconds = app.started.elapsed().as_secs_f64();
    app.output
        .document(&wire::Repair::of(&report, store, args.dry_run, seconds))?;
    Ok(if report.was_sound() {
        ExitCode::Done
    } else if args.dry_run {
        ExitCode::FaultsFound
    } else if report.is_whole() {
        ExitCode::Done
    } else {
        ExitCode::SomeRowsFailed
    })
}

fn print(app: &App, args: &RepairArgs, report: &RepairReport) {
    let output = app.output;
    if report.was_sound() {
        output.print("The store is sound: every check holds, nothing was changed");
        if let Some(kept) = &report.kept {
            output.print(format!(
                "An earlier repair or restore was cut off; what it replaced is kept: {}",
                kept.display()
            ));
        }
        return;
    }
    copies::faults(app, Some(&report.found));
    let lines = [
        ("rows kept", report.records_kept),
        ("rows lost", report.records_lost.len() as u64),
        ("vectors kept", report.vectors_kept),
        ("vectors lost", report.vectors_lost),
        ("rows to embed again", report.to_embed.len() as u64),
    ];
    output.print("");
    for (what, count) in lines {
        output.print(format!("  {count:>9}  {what}"));
    }
    for line in &report.recomputed {
        output.say(format!("  worked out again: {line}"));
    }
    rows(app, "Rows lost", &report.records_lost);
    rows(app, "Rows to embed again", &report.to_embed);
    output.print("");
    if args.dry_run {
        output.print("Nothing was changed; do it with: smart-support repair");
        return;
    }
    if let Some(kept) = &report.kept {
        output.print(format!("The damaged store is kept: {}", kept.display()));
    }
    output.print(match (report.written, report.is_whole()) {
        (true, true) => "Repaired: nothing is missing",
        (true, false) if args.drop_unembedded || report.to_embed.is_empty() => {
            "Repaired: search works; bring the missing rows back with `smart-support sync`"
        }
        (true, false) => {
            "Repaired: embed the rows above with `smart-support sync`; until then search refuses to answer, unless \
             you leave them out with `smart-support repair --drop-unembedded`"
        }
        (false, _) => {
            "Nothing more can be put right here: embed the rows above with `smart-support sync`, or leave them out \
             with `smart-support repair --drop-unembedded`"
        }
    });
}

fn rows(app: &App, title: &str, rows: &[DamagedRow]) {
    if rows.is_empty() {
        return;
    }
    app.output.print(format!("\n{title}:"));
    let named = if app.verbose { rows.len() } else { NAMED };
    for row in rows.iter().take(named) {
        let place = row
            .locator
            .row
            .map_or_else(String::new, |row| format!(", source row {row}"));
        let chunk = match row.key.chunk {
            0 => String::new(),
            chunk => format!("#{chunk}"),
        };
        app.output.print(format!(
            "  {}: {}{chunk}{place}: {}",
            row.key.collection, row.key.document, row.reason
        ));
    }
    if rows.len() > named {
        app.output.print(format!(
            "  … and {} more; all of them with -v or --json",
            rows.len() - named
        ));
    }
}
