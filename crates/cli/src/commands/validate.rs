//! `validate`: the checks of a store, and of a source against it.

use storage_core::{Check, IntegrityReport, StoreErrorKind, StoreStatus, check_names};

use crate::app::App;
use crate::args::{SourceArgs, ValidateArgs};
use crate::commands::{copies, source};
use crate::exit::{ExitCode, Failure};
use crate::output::Output;
use crate::parts::Access;
use crate::wire;

pub(crate) async fn run(app: &App, args: &ValidateArgs) -> Result<ExitCode, Failure> {
    let typed = args.source.faq_path.is_some() || args.source.input.is_some();
    check(app, typed.then_some(&args.source)).await
}

/// Checks the store; with a source, also that against it.
pub(crate) async fn check(app: &App, typed: Option<&SourceArgs>) -> Result<ExitCode, Failure> {
    tracing::info!("Validating storage integrity...");
    let store = match app.open(Access::Read, None) {
        Ok(store) => store,
        Err(failure) if failure.store == Some(StoreErrorKind::Corrupt) => {
            return unreadable(app, &failure);
        }
        Err(failure) => return Err(failure),
    };
    let mut report = store.check().await?;
    if let Some(typed) = typed {
        let named = source::named(app, typed)?;
        let snapshot = source::read(&named)?.snapshot;
        let check = source::against_store(app, &*store, &named, snapshot).await?;
        report.checks.push(check);
    }
    let output = app.output;
    match store.status().await {
        Ok(status) => print(output, &report, &status),
        Err(error) if error.kind() == StoreErrorKind::Corrupt && !report.is_ok() => {
            copies::faults(app, Some(&report));
        }
        Err(error) => return Err(error.into()),
    }
    let faulty = |check: &Check| !check.ok && check.name != check_names::SOURCE;
    output.print(if report.is_ok() {
        "\nValidation passed!"
    } else if report.checks.iter().any(faulty) {
        "\nValidation failed: faults are marked above; put the store right with `smart-support repair`"
    } else {
        "\nValidation failed: bring the store up to its source with `smart-support sync`"
    });
    output.document(&wire::Validation::from(&report))?;
    Ok(if report.is_ok() {
        ExitCode::Done
    } else {
        ExitCode::FaultsFound
    })
}

/// A store that is too damaged to be opened: one finding, and the worst.
fn unreadable(app: &App, failure: &Failure) -> Result<ExitCode, Failure> {
    let detail = format!("the store cannot be opened: {failure}");
    let check = Check::compare(check_names::CONNECTION, "unreadable", "readable", detail);
    let report = IntegrityReport {
        checks: vec![check],
    };
    copies::faults(app, Some(&report));
    app.output
        .print("\nValidation failed: put the store right with `smart-support repair`");
    app.output.document(&wire::Validation::from(&report))?;
    Ok(ExitCode::FaultsFound)
}

/// Prints a line a check: what holds in the words people know, what does not with the first faults.
pub(crate) fn print(output: Output, report: &IntegrityReport, status: &StoreStatus) {
    for check in &report.checks {
        let mark = output.mark(check.ok);
        if check.ok {
            output.say(format!("{mark} {}", holds(check, status)));
        } else {
            let Check {
                detail,
                found,
                expected,
                ..
            } = check;
            output.print(format!(
                "{mark} {}: {detail} (found {found}, expected {expected})",
                check.name
            ));
        }
    }
}

fn holds(check: &Check, status: &StoreStatus) -> String {
    let records: u64 = status
        .collections
        .iter()
        .map(|collection| collection.records)
        .sum();
    let Check {
        found, expected, ..
    } = check;
    match check.name {
        check_names::CONNECTION => "Connection successful".to_owned(),
        check_names::SCHEMA_VERSION => format!("Schema version: {found}"),
        check_names::EMBEDDING_VERSION => {
            let served = status
                .collections
                .iter()
                .filter_map(|collection| status.active(&collection.name));
            let mut models: Vec<String> = served.map(|version| version.model.to_string()).collect();
            models.dedup();
            format!(
                "Embedding version: {}",
                if models.is_empty() {
                    "none yet".to_owned()
                } else {
                    models.join(", ")
                }
            )
        }
        check_names::TEMPLATES => format!("Total templates: {found}"),
        check_names::CATEGORIES => format!("All categories present: {found}/{expected}"),
        check_names::CONTENT_HASHES => format!("Content hashes valid: {records}/{records}"),
        check_names::VECTOR_HASHES => "Vector checksums valid".to_owned(),
        check_names::ORPHANS => "No orphaned records".to_owned(),
        check_names::FOREIGN_KEYS => "Foreign key constraints satisfied".to_owned(),
        check_names::GENERATION => format!("Generation: {found}"),
        _ => check.detail.clone(),
    }
}
