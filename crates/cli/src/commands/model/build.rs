//! `model build`: another version, beside the one that is served.

use std::path::Path;
use std::sync::Arc;

use embedder_client::Embedder;
use serde::Serialize;
use storage_core::{CollectionName, VersionId};
use sync_engine::{BuildOptions, BuildPlan, BuildReport, Target, build, prepare_build};

use super::Spender;
use super::frozen::{self, Agreed};
use crate::app::App;
use crate::args::BuildArgs;
use crate::commands::estimate;
use crate::commands::sync::dollars;
use crate::exit::{ExitCode, Failure, usage};
use crate::interrupt::{Interrupt, Phase};
use crate::output::shell_word;
use crate::parts::{self, Access};
use crate::plan_file::Ground;
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
    /// Where the plan was written.
    plan: Option<String>,
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
    let wanted = Wanted {
        collection: app.collection().clone(),
        options,
    };
    if args.dry_run || args.plan_out.is_some() {
        return dry_run(app, &wanted, &spender, args).await;
    }
    carry_out(app, &wanted, spender, None).await
}

/// What to build.
pub(super) struct Wanted {
    pub(super) collection: CollectionName,
    pub(super) options: BuildOptions,
}

/// Builds, if what is found when the store is open is what was agreed on.
pub(super) async fn carry_out(
    app: &App,
    wanted: &Wanted,
    spender: Spender,
    agreed: Option<&Agreed<'_>>,
) -> Result<ExitCode, Failure> {
    let collection = &wanted.collection;
    let interrupt = Interrupt::listen(spender.meter.clone());
    let store = app.open(Access::Turns, None).await?;
    if let Some(agreed) = agreed {
        agreed.check(&store.status().await?, &*spender.embedder)?;
    }
    interrupt.enter(Phase::Working);
    let reporter = spender.reporter(app);
    let context = spender.context(&*store, &reporter);
    tracing::info!(
        "Building a version of collection {collection} with {}, beside the one that is served",
        spender.embedder.spec().name
    );
    let report = build(&context, collection, &wanted.options).await;
    interrupt.enter(Phase::Finishing);
    let report = report.map_err(|error| interrupt.explain(error.into()))?;
    let status = store.status().await?;
    let found = status.collection(collection);
    let version = report.version.as_ref().and_then(|id| {
        let version = found?.version(id)?;
        Some((version, status.space(&version.space)?))
    });
    let document = Document {
        mode: "build",
        collection: collection.to_string(),
        version: report.version.as_ref().map(ToString::to_string),
        model: version.map(|(version, space)| wire::Model::of(version, space)),
        embed_text: version.map_or_else(String::new, |(version, _)| version.embed_text.clone()),
        total: found.map_or(0, |found| found.records),
        rows: report.rows,
        embedded: report.embedded,
        reused: report.reused,
        requests: report.requests,
        tokens: report.tokens,
        cost: spender.spend.cost(report.tokens),
        to_embed: None,
        estimate: None,
        plan: None,
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
    let store = app.open(Access::Read, None).await?;
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

async fn dry_run(
    app: &App,
    wanted: &Wanted,
    spender: &Spender,
    args: &BuildArgs,
) -> Result<ExitCode, Failure> {
    let collection = &wanted.collection;
    if let Some(path) = &args.plan_out {
        frozen::check(app, path)?;
    }
    let store = app.open(Access::Read, None).await?;
    let reporter = spender.reporter(app);
    let context = spender.context(&*store, &reporter);
    let plan = prepare_build(&context, collection, &wanted.options).await?;
    let cost = spender.spend.cost(plan.estimate.tokens);
    let estimate = wire::Estimate::of(&plan.estimate, cost);
    if let Some(path) = &args.plan_out {
        let ground = Ground {
            location: &app.settings.store,
            status: Some(&store.status().await?),
            collection,
            embedder: &*spender.embedder,
        };
        frozen::write(path, &ground, &estimate, &plan, &wanted.options)?;
    }
    print_plan(app, spender, &plan, cost, args.plan_out.as_deref());
    let document = Document {
        mode: "dry-run",
        collection: collection.to_string(),
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
        estimate: Some(estimate),
        plan: args
            .plan_out
            .as_ref()
            .map(|path| path.display().to_string()),
        failed: plan.failed.iter().map(wire::Failed::from).collect(),
        complete: plan.rows == 0 && plan.failed.is_empty(),
        generation: plan.base.0,
        seconds: app.started.elapsed().as_secs_f64(),
        store: parts::describe(&app.settings.store),
    };
    app.output.document(&document)?;
    Ok(if plan.failed.is_empty() {
        ExitCode::Done
    } else {
        ExitCode::SomeRowsFailed
    })
}

fn print_plan(
    app: &App,
    spender: &Spender,
    plan: &BuildPlan,
    cost: Option<f64>,
    written: Option<&Path>,
) {
    let output = app.output;
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
    if let Some(path) = written {
        let path = path.display().to_string();
        output.print(format!(
            "Plan written to {path}; carry it out with: smart-support apply {}",
            shell_word(&path)
        ));
    }
}
