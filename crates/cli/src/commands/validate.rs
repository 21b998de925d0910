//! `validate`: the checks of a store, and of a source against it.

use std::sync::Arc;

use storage_core::{
    Check, EmbeddingStore, IntegrityReport, StoreErrorKind, StoreStatus, check_names,
};
use sync_engine::{LEAST_COSINE, check_provider};

use crate::app::{self, App};
use crate::args::{SourceArgs, ValidateArgs};
use crate::commands::model::Spender;
use crate::commands::{copies, source};
use crate::exit::{ExitCode, Failure};
use crate::output::Output;
use crate::parts::{self, Access};
use crate::wire;

pub(crate) async fn run(app: &App, args: &ValidateArgs) -> Result<ExitCode, Failure> {
    let typed = args.source.faq_path.is_some()
        || args.source.input.is_some()
        || args.source.source_sql.is_some()
        || args.source.source_url.is_some();
    check(app, typed.then_some(&args.source), args.canary).await
}

/// Checks the store; with a source, also that against it.
pub(crate) async fn check(
    app: &App,
    typed: Option<&SourceArgs>,
    canary: bool,
) -> Result<ExitCode, Failure> {
    tracing::info!("Validating storage integrity...");
    // What the provider is asked costs a call, which goes into the ledger.
    let access = if canary { Access::Write } else { Access::Read };
    let store = match app.open(access, None).await {
        Ok(store) => store,
        Err(failure) if failure.store == Some(StoreErrorKind::Corrupt) => {
            return unreadable(app, &failure);
        }
        Err(failure) => return Err(failure),
    };
    let mut report = store.check().await?;
    let mut compared = None;
    if let Some(typed) = typed {
        let named = source::named(app, typed)?;
        let snapshot = source::read(&named)?.snapshot;
        let found = source::against_store(app, &*store, &named, snapshot).await?;
        report.checks.push(found.check.clone());
        compared = Some(found);
    }
    if canary {
        report.checks.push(ask_provider(app, store.clone()).await?);
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
        "\nValidation passed!".to_owned()
    } else if exit_code(&report) == ExitCode::Refused {
        "\nValidation failed: the store is whole, the provider is another one".to_owned()
    } else if report.checks.iter().any(faulty) {
        let remedy = parts::remedy(&app.settings.store);
        format!("\nValidation failed: faults are marked above; {remedy}")
    } else {
        "\nValidation failed: bring the store up to its source with `smart-support sync`".to_owned()
    });
    let mut document = wire::Validation::from(&report);
    if let Some(found) = compared {
        document.coverage = Some(found.coverage);
        document.missing = Some(found.missing);
        document.stale = Some(found.stale);
    }
    output.document(&document)?;
    Ok(exit_code(&report))
}

/// Another model behind the name is a refusal; anything else that is found is a fault.
fn exit_code(report: &IntegrityReport) -> ExitCode {
    let mut wrong = report.checks.iter().filter(|check| !check.ok).peekable();
    if wrong.peek().is_none() {
        ExitCode::Done
    } else if wrong.all(|check| check.name == check_names::CANARY) {
        ExitCode::Refused
    } else {
        ExitCode::FaultsFound
    }
}

/// Whether the provider is the one that made the vectors.
async fn ask_provider(app: &App, store: Arc<dyn EmbeddingStore>) -> Result<Check, Failure> {
    let status = store.status().await?;
    let embedder = app.embedder_for(&status, app.embedder()?)?;
    app::active_version(&status, app.collection(), Some(&*embedder))?;
    let spender = Spender::new(app, embedder)?;
    let reporter = spender.reporter(app);
    let context = spender.context(&*store, &reporter);
    let seen = check_provider(&context, app.collection()).await?;
    let name = &spender.embedder.spec().name;
    let detail = if seen.is_ok() {
        format!("{} texts come out of {name} as they did", seen.texts)
    } else {
        format!(
            "the provider serves another model under the name {name}: of {} texts that it embedded before, the least \
             cosine to what is stored is {:.4}; get the old model back, or embed everything with the new one beside it: \
             smart-support model build --force-recompute",
            seen.texts, seen.least
        )
    };
    let expected = format!("at least {LEAST_COSINE}");
    let mut check = Check::compare(
        check_names::CANARY,
        format!("{:.4}", seen.least),
        expected,
        detail,
    );
    check.ok = seen.is_ok();
    Ok(check)
}

/// A store that is too damaged to be opened: one finding, and the worst.
fn unreadable(app: &App, failure: &Failure) -> Result<ExitCode, Failure> {
    let detail = format!("the store cannot be opened: {failure}");
    let check = Check::compare(check_names::CONNECTION, "unreadable", "readable", detail);
    let report = IntegrityReport {
        checks: vec![check],
    };
    copies::faults(app, Some(&report));
    let remedy = parts::remedy(&app.settings.store);
    app.output.print(format!("\nValidation failed: {remedy}"));
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
        check_names::CANARY => format!("Same model: {}", check.detail),
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
