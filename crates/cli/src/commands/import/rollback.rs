//! `import rollback`: removes exactly what an import brought, and restores what it replaced.

use storage_core::RunId;
use sync_engine::rollback_import;

use crate::app::{self, App};
use crate::args::RollbackArgs;
use crate::commands::diff::counted;
use crate::exit::{ExitCode, Failure, usage};
use crate::parts::Access;
use crate::wire;

/// Rows that are named on the screen.
const SHOWN: usize = 10;

pub(super) async fn run(app: &App, args: &RollbackArgs) -> Result<ExitCode, Failure> {
    let runs = args
        .run
        .iter()
        .map(|run| RunId::new(run.clone()).map_err(|error| usage(error.to_string())))
        .collect::<Result<Vec<_>, _>>()?;
    let access = if args.dry_run {
        Access::Read
    } else {
        Access::Write
    };
    let store = app.open(access, None).await?;
    let output = app.output;
    let mut done = Vec::with_capacity(runs.len());
    for run in &runs {
        let report = rollback_import(&*store, run, app::run_id(), &app::now, args.dry_run).await?;
        let (what, gone, back) = if args.dry_run {
            ("Would undo", "would go", "would come back")
        } else {
            ("Undid", "are gone", "are as they were")
        };
        output.print(
            if report.removed + report.restored + report.left.len() as u64 == 0 {
                format!(
                    "Nothing that import {run} brought or replaced in collection {} is left to undo",
                    report.collection
                )
            } else {
                format!(
                    "{what} import {run} in collection {}: {} that it brought {gone}, {} that it replaced {back}",
                    report.collection,
                    counted(report.removed, "row"),
                    counted(report.restored, "row"),
                )
            },
        );
        if !report.left.is_empty() {
            output.print(format!(
                "{} {} written by others since and left as they are:",
                output.mark(false),
                counted(report.left.len() as u64, "row")
            ));
            for key in report.left.iter().take(SHOWN) {
                output.print(format!("  {}", key.document));
            }
        }
        done.push(report);
    }
    let left = done.iter().any(|report| !report.left.is_empty());
    output.document(&wire::Rollback::of(&done, args.dry_run))?;
    Ok(if left {
        ExitCode::SomeRowsFailed
    } else {
        ExitCode::Done
    })
}
