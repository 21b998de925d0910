//! `model promote` and `model rollback`: the pointer moves, and everything with it.

use std::sync::Arc;

use serde::Serialize;
use storage_core::{CollectionStatus, EmbeddingStore, StoreStatus, Version};
use sync_engine::{BuildReport, require_finished, switch};

use super::Spender;
use super::gate::{self, Gate};
use crate::app::App;
use crate::args::PromoteArgs;
use crate::exit::{ExitCode, Failure, usage};
use crate::interrupt::{Interrupt, Phase};
use crate::parts::{self, Access};
use crate::wire;

#[derive(Serialize)]
struct Document {
    mode: &'static str,
    collection: String,
    from: Option<String>,
    active: String,
    previous: Option<String>,
    model: Option<wire::Model>,
    /// Rows that were edited since the version was complete, and have their vectors now.
    stale: u64,
    embedded: usize,
    reused: usize,
    requests: u64,
    tokens: u64,
    generation: u64,
    /// How it did on the questions of `--golden`.
    gate: Option<Gate>,
    seconds: f64,
}

pub(super) async fn promote(app: &App, args: &PromoteArgs) -> Result<ExitCode, Failure> {
    let (store, status) = open(app).await?;
    let collection = super::collection(app, &status)?;
    let version = super::resolve(&status, collection, &args.version)?;
    require_finished(app.collection(), version)?;
    let proof = gate::prove(app, &*store, &status, collection, version, args).await?;
    serve(app, "promote", &*store, &status, collection, version, proof).await
}

pub(super) async fn rollback(app: &App) -> Result<ExitCode, Failure> {
    let (store, status) = open(app).await?;
    let collection = super::collection(app, &status)?;
    let previous = collection.previous.as_ref();
    let Some(version) = previous.and_then(|id| collection.version(id)) else {
        return Err(usage(format!(
            "collection {} has served one version only: there is nothing to go back to; `smart-support model list` \
             shows its versions",
            collection.name
        )));
    };
    serve(app, "rollback", &*store, &status, collection, version, None).await
}

async fn open(app: &App) -> Result<(Arc<dyn EmbeddingStore>, StoreStatus), Failure> {
    let store = app.open(Access::Write, None).await?;
    let status = store.status().await?;
    Ok((store, status))
}

async fn serve(
    app: &App,
    mode: &'static str,
    store: &dyn EmbeddingStore,
    status: &StoreStatus,
    collection: &CollectionStatus,
    version: &Version,
    gate: Option<Gate>,
) -> Result<ExitCode, Failure> {
    let stale = collection.records.saturating_sub(version.records);
    let space = status.space(&version.space);
    let embedder = match space {
        Some(space) if stale > 0 => app.embedder_of(status, space)?,
        // Moving the pointer asks nobody, and needs no key.
        _ => Arc::new(parts::StoredModel::of(store, app.collection()).await?),
    };
    let spender = if stale > 0 {
        Spender::new(app, embedder)?
    } else {
        Spender::free(app, embedder)?
    };
    if stale > 0 {
        tracing::info!(
            "{stale} rows were edited since version {} was complete; they are embedded first",
            version.id.short()
        );
    }
    let interrupt = Interrupt::listen(spender.meter.clone());
    interrupt.enter(Phase::Working);
    let reporter = spender.reporter(app);
    let context = spender.context(store, &reporter);
    let report = switch(&context, app.collection(), &version.id).await;
    interrupt.enter(Phase::Finishing);
    let report = report.map_err(|error| interrupt.explain(error.into()))?;
    let from = collection.active.as_ref();
    let unchanged = from == Some(&version.id);
    let previous = if unchanged {
        collection.previous.as_ref()
    } else {
        from
    };
    let document = Document {
        mode,
        collection: collection.name.to_string(),
        from: from.map(ToString::to_string),
        active: version.id.to_string(),
        previous: previous.map(ToString::to_string),
        model: space.map(|space| wire::Model::of(version, space)),
        stale,
        embedded: report.embedded,
        reused: report.reused,
        requests: report.requests,
        tokens: report.tokens,
        generation: report.generation.0,
        gate,
        seconds: app.started.elapsed().as_secs_f64(),
    };
    print(app, &document, &report, version, unchanged);
    app.output.document(&document)?;
    Ok(ExitCode::Done)
}

fn print(app: &App, document: &Document, report: &BuildReport, version: &Version, unchanged: bool) {
    let output = app.output;
    let name = document.model.as_ref().map_or("?", |model| &*model.name);
    let id = version.id.short();
    if unchanged {
        output.print(format!("Version {id} ({name}) is served already."));
        return;
    }
    output.print(format!(
        "Collection {} serves version {id} ({name}) now, generation {}",
        document.collection, document.generation
    ));
    if document.stale > 0 {
        output.say(format!(
            "├─ Edited since it was complete: {} rows, {} texts embedded in {} requests",
            document.stale, report.embedded, report.requests
        ));
    }
    output.say("└─ To go back: smart-support model rollback");
}
