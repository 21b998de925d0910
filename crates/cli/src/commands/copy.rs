//! `copy`: a whole store into another backend or file, without one embedding call.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use storage_core::{CollectionName, StoreErrorKind, StoreStatus};
use sync_engine::{
    Copied, CopyOptions, CopyPlan, CopyProgress, SyncError, SyncErrorKind, copy, plan_copy,
};

use crate::app::{self, App};
use crate::args::CopyArgs;
use crate::commands::diff::{self, counted};
use crate::commands::status::size;
use crate::exit::{ExitCode, Failure};
use crate::output::{Output, shell_word};
use crate::parts::{self, Access, Opening};
use crate::progress::Counter;
use crate::settings::StoreLocation;
use crate::wire;

/// Rows that differ, as far as they are printed.
const ROWS: usize = 20;

pub(crate) async fn run(app: &App, args: &CopyArgs) -> Result<ExitCode, Failure> {
    let (from, to) = (
        app.settings.store_at(&args.from)?,
        app.settings.store_at(&args.to)?,
    );
    let opening = |access, dimensions| Opening {
        access,
        dimensions,
        ..app.opening()
    };
    let source = parts::open(&from, opening(Access::Read, None)).await?;
    let options = CopyOptions {
        collections: app
            .settings
            .named_collection()
            .map(|name| BTreeSet::from([name.clone()])),
        verify: !args.no_verify,
        run: app::run_id(),
        at: app::now(),
    };
    let refused = |error: SyncError| refusal(error, &from, &to);
    // Looking comes first: a target that is refused is not even opened for writing.
    let seen = match parts::open(&to, opening(Access::Read, None)).await {
        Ok(target) => plan_copy(&*source, &*target, &options).await,
        Err(error) if is_absent(error.kind(), args.dry_run) => {
            plan_copy(&*source, &*parts::memory(), &options).await
        }
        Err(error) => return Err(error.into()),
    };
    let plan = seen.map_err(refused)?;
    if args.dry_run {
        return planned(app, &plan, &from, &to);
    }
    let dimensions = dimensions(&source.status().await?);
    let target = parts::open(&to, opening(Access::Create, dimensions)).await?;
    let progress = Reporter {
        output: app.output,
        counter: Mutex::new(None),
    };
    let report = copy(&*source, &*target, &options, &progress).await;
    progress.finish();
    let report = report.map_err(refused)?;
    copied(app, &report, &from, &to)
}

/// Whether a target that cannot be read is one that is yet to be made. An old schema is brought up to date, and its rows
/// are looked at then.
fn is_absent(kind: StoreErrorKind, dry_run: bool) -> bool {
    kind == StoreErrorKind::NotFound || (kind == StoreErrorKind::SchemaOld && !dry_run)
}

/// The longest vectors: a new file is laid out for them.
fn dimensions(status: &StoreStatus) -> Option<u32> {
    let spaces = status.spaces.iter();
    spaces.map(|space| space.model.dimensions.get()).max()
}

fn refusal(error: SyncError, from: &StoreLocation, to: &StoreLocation) -> Failure {
    let occupied = error.kind() == SyncErrorKind::Occupied;
    let mut failure = Failure::from(error);
    if occupied {
        failure.message.push_str(&format!(
            "; look at the difference with `smart-support diff {} {}`, or name a store that is empty",
            shell_word(&parts::describe(from)),
            shell_word(&parts::describe(to))
        ));
    }
    failure
}

fn planned(
    app: &App,
    plan: &CopyPlan,
    from: &StoreLocation,
    to: &StoreLocation,
) -> Result<ExitCode, Failure> {
    let counts = wire::CopiedCounts::from(plan);
    let (from, to) = (parts::describe(from), parts::describe(to));
    app.output.print(format!(
        "Would copy {from} to {to}: {} in {}, {} ({}), {}, {}; nothing was written",
        counted(counts.rows, "row"),
        counted(counts.collections, "collection"),
        counted(counts.vectors, "vector"),
        size(plan.vector_bytes),
        counted(counts.versions, "version"),
        counted(counts.runs, "run")
    ));
    for planned in plan.collections.iter().filter(|planned| planned.there) {
        app.output.print(format!(
            "Collection {} is there already, row by row",
            planned.name
        ));
    }
    app.output.document(&wire::StoreCopy {
        dry_run: true,
        source: from,
        target: to,
        copied: counts,
        bytes: plan.vector_bytes,
        generation: plan.source.0,
        target_generation: None,
        rounds: 0,
        verified: false,
        difference: None,
        requests: 0,
        seconds: app.started.elapsed().as_secs_f64(),
    })?;
    Ok(ExitCode::Done)
}

fn copied(
    app: &App,
    report: &Copied,
    from: &StoreLocation,
    to: &StoreLocation,
) -> Result<ExitCode, Failure> {
    let output = app.output;
    let (from, to) = (parts::describe(from), parts::describe(to));
    let there = match report.vectors_there {
        0 => String::new(),
        there => format!(" and {there} that were there"),
    };
    let seconds = app.started.elapsed().as_secs_f64();
    output.print(format!(
        "Copied {from} to {to} in {seconds:.1} s without an embedding call: {} in {}, {}{there} ({}), {}, {}",
        counted(report.rows, "row"),
        counted(report.collections, "collection"),
        counted(report.vectors, "vector"),
        size(report.bytes),
        counted(report.versions, "version"),
        counted(report.runs, "run")
    ));
    let equal = report.difference.as_ref().map(|found| found.is_equal());
    match (&report.difference, equal) {
        (Some(found), Some(false)) => {
            diff::print(output, found, ROWS);
            output.print(
                "\nThe copy differs from its source (A is the source, B the copy): do not rely on it",
            );
        }
        (Some(_), _) => output.say(
            "Every row and every vector of the copy was compared with the source, bit for bit",
        ),
        (None, _) => output.say("Not compared with the source, as asked"),
    }
    output.document(&wire::StoreCopy {
        dry_run: false,
        source: from.clone(),
        target: to.clone(),
        copied: report.into(),
        bytes: report.bytes,
        generation: report.source.0,
        target_generation: Some(report.target.0),
        rounds: report.rounds,
        verified: equal == Some(true),
        difference: report
            .difference
            .as_ref()
            .filter(|found| !found.is_equal())
            .map(|found| wire::Diff::of(found, from, to, seconds)),
        requests: 0,
        seconds,
    })?;
    Ok(match equal {
        Some(false) => ExitCode::FaultsFound,
        _ => ExitCode::Done,
    })
}

/// Tells how a copy gets on.
struct Reporter {
    output: Output,
    counter: Mutex<Option<Counter>>,
}

impl Reporter {
    fn set(&self, counter: Option<Counter>) {
        *self.counter.lock().unwrap_or_else(PoisonError::into_inner) = counter;
    }

    fn finish(&self) {
        self.set(None);
    }
}

impl CopyProgress for Reporter {
    fn checking(&self) {
        tracing::info!("Checking the source...");
    }

    fn vectors(&self, total: u64) {
        let total = usize::try_from(total).unwrap_or(usize::MAX);
        self.set(Some(Counter::new(
            "Copying vectors",
            total,
            self.output.has_bars(),
        )));
    }

    fn copied(&self, vectors: u64) {
        let mut counter = self.counter.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(counter) = counter.as_mut() {
            counter.add(usize::try_from(vectors).unwrap_or(usize::MAX));
        }
    }

    fn applying(&self, collection: &CollectionName, rows: u64) {
        self.finish();
        tracing::info!("Writing {rows} rows of {collection} in one transaction");
    }

    fn moved(&self) {
        self.finish();
        tracing::info!("The source was written to meanwhile; copying the difference");
    }

    fn comparing(&self) {
        self.finish();
        tracing::info!("Comparing the copy with its source...");
    }
}
