//! `model build`: another version, beside the one that is served.

use std::sync::Arc;

use embedder_client::Embedder;
use serde::Serialize;
use storage_core::VersionId;
use sync_engine::{BuildOptions, BuildPlan, BuildReport, Target, build, prepare_build};

use super::Spender;
use crate::app::App;
use crate::args::BuildArgs;
use crate::commands::estimate;
use crate::commands::sync::dollars;
use crate::exit::{ExitCode, Failure, usage};
use crate::interrupt::{Interrupt, Phase};
use crate::parts::{self, Access};
use crate::wire;

#[derive(Serialize)]
struct Document {
    mode: &'static str,
    collection: String,
    version: Option<String>,
    model: Option<wire::Model>,
    embed_text: String,
    /// Rows of the collection.
    total: u64,
    /// Rows that got a vector now.
    rows: usize,
    embedded: usize,
    reused: usize,
    requests: u64,
    tokens: u64,
    cost: Option<f64>,
    to_embed: Option<usize>,
    estimate: Option<wire::Estimate>,
    failed: Vec<wire::Failed>,
    complete: bool,
    generation: u64,
    seconds: f64,
    store: String,
}

pub(super) async fn run(app: &App, args: &BuildArgs) -> Result<ExitCode, Failure> {
    let named = known(app, args).await?;
    let embedder = match &named {
        Some((_, embedder)) => Arc::clone(embedder),
        None => app.embedder()?,
    };
    if let (Some(name), None) = (&args.name, &named)
        && embedder.provider() == "hash"
        && *name != embedder.spec().name
    {
        return Err(usage(format!(
            "provider hash has one model, {}, and not {name:?}; leave the name out, or choose another provider with \
             EMBEDDING_PROVIDER",
            embedder.spec().name
        )));
    }
    let spender = Spender::new(app, embedder)?;
    let options = BuildOptions {
        embed_text: app.settings.embed_text()?,
        force_recompute: args.force_recompute,
        version: named.map(|(version, _)| version),
    };
    if args.dry_run {
        let store = app.open(Access::Read, None)?;
        let reporter = spender.reporter(app);
        let context = spender.context(&*store, &reporter);
        let plan = prepare_build(&context, app.collection(), &options).await?;
        return dry_run(app, &spender, &plan);
    }
    let interrupt = Interrupt::listen(spender.meter.clone());
    let store = app.open(Access::Turns, None)?;
    interrupt.enter(Phase::Working);
    let reporter = spender.reporter(app);
    let context = spender.context(&*store, &reporter);
    tracing::info!(
        "Building a version of collection {} with {}, beside the one that is served",
        app.collection(),
        spender.embedder.spec().name
    );
    let report = build(&context, app.collection(), &options).await;
    interrupt.enter(Phase::Finishing);
    let report = report.map_err(|error| interrupt.explain(error.into()))?;
    let status = store.status().await?;
    let total = status
        .collection(app.collection())
        .map_or(0, |found| found.records);
    let version = report.version.as_ref().and_then(|id| {
        let version = status.collection(app.collection())?.version(id)?;
        Some((version, status.space(&version.space)?))
    });
    let document = Document {
        mode: "build",
        collection: app.collection().to_string(),
        version: report.version.as_ref().map(ToString::to_string),
        model: version.map(|(version, space)| wire::Model::of(version, space)),
        embed_text: version.map_or_else(String::new, |(version, _)| version.embed_text.clone()),
        total,
        rows: report.rows,
        embedded: report.embedded,
        reused: report.reused,
        requests: report.requests,
        tokens: report.tokens,
        cost: spender.spend.cost(report.tokens),
        to_embed: None,
        estimate: None,
        failed: report.failed.iter().map(wire::Failed::from).collect(),
        complete: report.complete,
        generation: report.generation.0,
        seconds: app.started.elapsed().as_secs_f64(),
        store: parts::describe(&app.settings.store),
    };
    print(app, &document, &report);
    app.output.document(&document)?;
    Ok(if report.failed.is_empty() {
        ExitCode::Done
    } else {
        ExitCode::SomeRowsFailed
    })
}

/// The version that the first argument names by its id, if it does: it is gone on with, or brought up to date. A
/// collection without rows is refused here.
async fn known(
    app: &App,
    args: &BuildArgs,
) -> Result<Option<(VersionId, Arc<dyn Embedder>)>, Failure> {
    let store = app.open(Access::Read, None)?;
    let status = store.status().await?;
    let collection = super::collection(app, &status)?;
    let Some(name) = args.name.as_deref().filter(|name| is_id(name)) else {
        return Ok(None);
    };
    let mut versions = collection.versions.iter();
    let found = versions.find(|version| version.id.as_str().starts_with(name));
    let found = found.and_then(|version| Some((version, status.space(&version.space)?)));
    found
        .map(|(version, space)| Ok((version.id.clone(), app.embedder_of(&status, space)?)))
        .transpose()
}

/// The first digits of an id, at least four.
fn is_id(name: &str) -> bool {
    name.len() >= 4 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn print(app: &App, document: &Document, report: &BuildReport) {
    let output = app.output;
    for row in &report.failed {
        output.print(format!(
            "{} {}: {}",
            output.mark(false),
            row.id.as_deref().unwrap_or("?"),
            row.reason
        ));
    }
    let id = report.version.as_ref().map_or("?", |id| id.short());
    let name = document.model.as_ref().map_or("?", |model| &*model.name);
    if !report.complete {
        output.print(format!(
            "Version {id} ({name}) is not complete: {} rows have no vector in it. Mend them and run the same command \
             again.",
            report.failed.len()
        ));
        return;
    }
    output.print(format!(
        "Version {id} ({name}) is complete: {} rows",
        document.total
    ));
    output.say(format!(
        "├─ Embedded: {} texts in {} requests",
        report.embedded, report.requests
    ));
    output.say(format!("├─ Reused: {} vectors", report.reused));
    if report.tokens > 0 {
        let cost = dollars(document.cost);
        output.say(format!("├─ Billed: {} tokens{cost}", report.tokens));
    }
    output.say(format!("└─ Total time: {:.1} seconds", document.seconds));
    output.say("\nNext steps:");
    output.say(format!(
        "1. Prove it and serve it: smart-support model promote {id} --golden FILE"
    ));
    output.say(format!(
        "2. Not wanted after all? smart-support model delete {id}"
    ));
}

fn dry_run(app: &App, spender: &Spender, plan: &BuildPlan) -> Result<ExitCode, Failure> {
    let output = app.output;
    let cost = spender.spend.cost(plan.estimate.tokens);
    let name = &spender.embedder.spec().name;
    output.print(format!(
        "Dry run: nothing is written to {}",
        parts::describe(&app.settings.store)
    ));
    output.print(format!(
        "├─ Rows without a vector of {name}: {} of {}",
        plan.rows, plan.records
    ));
    output.print(format!(
        "└─ To embed: {} texts ({} reused), {}",
        plan.estimate.texts,
        plan.reused,
        estimate::amount(&plan.estimate, cost)
    ));
    output.print(estimate::time(&plan.estimate));
    if plan.active {
        output.print("This version is served already.");
    }
    let document = Document {
        mode: "dry-run",
        collection: app.collection().to_string(),
        version: plan.version.as_ref().map(ToString::to_string),
        model: match &plan.target {
            Target::Known(space) => Some(wire::Model::unversioned(&space.model, &space.provider)),
            Target::New { .. } => None,
        },
        embed_text: plan.embed_text.as_str().to_owned(),
        total: plan.records,
        rows: 0,
        embedded: 0,
        reused: plan.reused,
        requests: 0,
        tokens: 0,
        cost: None,
        to_embed: Some(plan.estimate.texts),
        estimate: Some(wire::Estimate::of(&plan.estimate, cost)),
        failed: plan.failed.iter().map(wire::Failed::from).collect(),
        complete: plan.rows == 0 && plan.failed.is_empty(),
        generation: plan.base.0,
        seconds: app.started.elapsed().as_secs_f64(),
        store: parts::describe(&app.settings.store),
    };
    output.document(&document)?;
    Ok(if plan.failed.is_empty() {
        ExitCode::Done
    } else {
        ExitCode::SomeRowsFailed
    })
}
