//! `index …`: the index of a database that searches by itself.

mod tune;

use std::sync::Mutex;
use std::time::{Duration, Instant};

use storage_core::{EmbeddingStore, IndexPlan, IndexProgress, IndexReport, NearestNeighbours};

use crate::app::{self, App};
use crate::args::{IndexBuildArgs, IndexCommand};
use crate::commands::status::size;
use crate::exit::{ExitCode, Failure, usage};
use crate::parts::{self, Access};
use crate::wire;

/// How often a build says how far it is.
const SAY_EVERY: Duration = Duration::from_secs(10);

pub(crate) async fn run(app: &App, command: &IndexCommand) -> Result<ExitCode, Failure> {
    // Reading is enough: an index changes no row, and other writers go on while it is built.
    let store = app.open(Access::Read, None).await?;
    let database = database(app, &*store)?;
    let collection = app.collection();
    let (mut built, mut dropped) = (Vec::new(), Vec::new());
    match command {
        IndexCommand::Status => {}
        IndexCommand::Build(args) => built.extend(build(app, database, args, false).await?),
        IndexCommand::Rebuild(args) => built.extend(build(app, database, args, true).await?),
        IndexCommand::Drop => {
            dropped = database.drop_indexes(collection).await?;
            for name in &dropped {
                app.output.say(format!("Dropped {name}"));
            }
            if dropped.is_empty() {
                app.output.say("There is no index to drop");
            }
        }
        IndexCommand::Tune(args) => return tune::run(app, &*store, database, args).await,
    }
    let report = database.indexes(collection).await?;
    print(app, &report);
    app.output.document(&wire::Indexes::of(
        collection.as_str(),
        &report,
        built,
        dropped,
    ))?;
    Ok(ExitCode::Done)
}

fn database<'a>(
    app: &App,
    store: &'a dyn EmbeddingStore,
) -> Result<&'a dyn NearestNeighbours, Failure> {
    store.nearest().ok_or_else(|| {
        usage(format!(
            "this store has no vector index, only PostgreSQL has; name one with DATABASE_URL or --store postgres://… ({})",
            parts::describe(&app.settings.store)
        ))
    })
}

/// Builds, unless an index is there and nobody asked for another; returns the name of a new one.
async fn build(
    app: &App,
    database: &dyn NearestNeighbours,
    args: &IndexBuildArgs,
    anew: bool,
) -> Result<Option<String>, Failure> {
    if args.ef_construction < 2 * args.m {
        return Err(usage(format!(
            "--ef-construction {} is less than twice --m {}; the server takes no such index",
            args.ef_construction, args.m
        )));
    }
    let report = database.indexes(app.collection()).await?;
    if let Some(index) = report.indexes.iter().find(|index| index.valid && !anew) {
        app.output.say(format!(
            "Index {} is there already; smart-support index rebuild builds it anew",
            index.name
        ));
        return Ok(None);
    }
    let allowed = args.memory.unwrap_or(report.memory_allowed);
    if report.memory_needed > allowed {
        tracing::warn!(
            "The index needs about {} of memory to be built and may use {}: it will take several times as long; allow \
             more with --memory, or let the server: ALTER SYSTEM SET maintenance_work_mem",
            size(report.memory_needed),
            size(allowed)
        );
    }
    tracing::info!(
        "Building an index of {} vectors with {} numbers",
        report.vectors,
        report.dimensions
    );
    let plan = IndexPlan {
        neighbours: args.m,
        candidates: args.ef_construction,
        memory: args.memory,
    };
    let started = Instant::now();
    let last = Mutex::new((String::new(), started));
    let progress = |progress: IndexProgress| {
        let mut last = last
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if last.0 == progress.phase && last.1.elapsed() < SAY_EVERY {
            return;
        }
        *last = (progress.phase.clone(), Instant::now());
        if progress.total > 0 {
            tracing::info!(
                "{}: {} of {}",
                progress.phase,
                progress.done,
                progress.total
            );
        } else {
            tracing::info!("{}", progress.phase);
        }
    };
    let name = database
        .build_index(app.collection(), plan, app::now(), &progress)
        .await?;
    app.output.say(format!(
        "Built {name} in {:.1} s",
        started.elapsed().as_secs_f64()
    ));
    Ok(Some(name))
}

fn print(app: &App, report: &IndexReport) {
    let output = app.output;
    output.print(format!(
        "{}: {} vectors with {} numbers, pgvector {}",
        app.collection(),
        report.vectors,
        report.dimensions,
        report.extension
    ));
    for index in &report.indexes {
        let plan = index.plan.map_or_else(String::new, |plan| {
            format!(
                ", m {}, ef_construction {}",
                plan.neighbours, plan.candidates
            )
        });
        output.print(format!(
            "{} {}: {}{plan}, {}",
            output.mark(index.valid),
            index.name,
            size(index.bytes),
            match (index.valid, index.used) {
                (false, _) => "unfinished",
                (true, true) => "searches follow it",
                (true, false) => "searches do not follow it",
            }
        ));
        if let Some(effort) = index.effort {
            output.print(format!(
                "  tuned: ef_search {}, max_scan_tuples {}",
                effort.candidates, effort.visits
            ));
        }
    }
    if report.indexes.is_empty() {
        output.print("No index: every row is compared");
    }
    for warning in &report.warnings {
        output.print(format!("! {warning}"));
    }
}
