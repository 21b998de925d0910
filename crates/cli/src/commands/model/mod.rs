//! `model`: versions of a collection side by side.

mod build;
mod delete;
mod fetch;
mod frozen;
mod gate;
mod list;
mod switch;

use std::sync::Arc;

use embedder_client::{BatchLimits, Embedder, Meter};
use storage_core::{CollectionStatus, EmbeddingStore, StoreStatus, Version};
use sync_engine::SyncContext;

use crate::app::{self, App};
use crate::args::ModelCommand;
use crate::commands::sync::{self, BATCH_BYTES};
use crate::exit::{ExitCode, Failure, usage};
use crate::progress::Reporter;
use crate::settings::{BatchSettings, SpendSettings, nearest};

pub(crate) use frozen::apply;

pub(crate) async fn run(app: &App, command: &ModelCommand) -> Result<ExitCode, Failure> {
    match command {
        ModelCommand::List => list::run(app).await,
        ModelCommand::Build(args) => build::run(app, args).await,
        ModelCommand::Promote(args) => switch::promote(app, args).await,
        ModelCommand::Rollback(_) => switch::rollback(app).await,
        ModelCommand::Delete(args) => delete::run(app, args).await,
        ModelCommand::Fetch { name } => fetch::run(app, name.as_deref()),
    }
}

/// An embedder, and what may be spent with it.
pub(crate) struct Spender {
    pub(crate) embedder: Arc<dyn Embedder>,
    batches: BatchSettings,
    spend: SpendSettings,
    meter: Meter,
}

impl Spender {
    pub(crate) fn new(app: &App, embedder: Arc<dyn Embedder>) -> Result<Self, Failure> {
        let spend = sync::spend(app, &*embedder)?;
        Ok(Self {
            batches: sync::batches(app.settings.batches()?, &*embedder),
            meter: Meter::new(spend.limits()),
            embedder,
            spend,
        })
    }

    /// One that pays for nothing, and so needs no price.
    fn free(app: &App, embedder: Arc<dyn Embedder>) -> Result<Self, Failure> {
        Ok(Self {
            batches: sync::batches(app.settings.batches()?, &*embedder),
            meter: Meter::default(),
            embedder,
            spend: SpendSettings::default(),
        })
    }

    pub(crate) fn reporter(&self, app: &App) -> Reporter {
        Reporter::new(
            app.output,
            self.batches.size,
            self.embedder.spec().name.clone(),
        )
    }

    pub(crate) fn context<'b>(
        &'b self,
        store: &'b dyn EmbeddingStore,
        progress: &'b Reporter,
    ) -> SyncContext<'b> {
        SyncContext {
            store,
            embedder: Arc::clone(&self.embedder),
            progress,
            clock: &app::now,
            run: app::run_id(),
            batch: BatchLimits {
                texts: self.batches.size,
                bytes: BATCH_BYTES,
            },
            concurrency: self.batches.concurrency,
            meter: self.meter.clone(),
        }
    }
}

/// The collection, which must have rows.
fn collection<'s>(app: &App, status: &'s StoreStatus) -> Result<&'s CollectionStatus, Failure> {
    status
        .collection(app.collection())
        .filter(|found| !found.versions.is_empty())
        .ok_or_else(|| {
            let others: Vec<&str> = status
                .collections
                .iter()
                .map(|found| found.name.as_str())
                .collect();
            let near = nearest(app.collection().as_str(), others.into_iter())
                .map_or_else(String::new, |near| format!("; did you mean {near}?"));
            usage(format!(
                "collection {} has no versions: it has no rows{near}; fill it with `smart-support migrate --faq-path \
                 FILE`",
                app.collection()
            ))
        })
}

/// The version that was named: by its id, by the first digits of it, by `previous`, or by its model where that is
/// clear.
pub(crate) fn resolve<'s>(
    status: &'s StoreStatus,
    collection: &'s CollectionStatus,
    named: &str,
) -> Result<&'s Version, Failure> {
    let role = match named {
        "active" => collection.active.as_ref(),
        "previous" => collection.previous.as_ref(),
        _ => None,
    };
    if let Some(version) = role.and_then(|id| collection.version(id)) {
        return Ok(version);
    }
    let digits = named.to_ascii_lowercase();
    let by_id = |version: &&Version| digits.len() >= 4 && version.id.as_str().starts_with(&digits);
    let model = |version: &Version| {
        let space = status.space(&version.space);
        space.map_or("", |space| space.model.name.as_str())
    };
    let by_model = |version: &&Version| model(version) == named;
    let found: Vec<&Version> = collection.versions.iter().filter(by_id).collect();
    let found = if found.is_empty() {
        let of_model: Vec<&Version> = collection.versions.iter().filter(by_model).collect();
        // The one that is served is not what anybody switches to.
        let others = of_model
            .iter()
            .filter(|version| collection.active.as_ref() != Some(&version.id));
        let others: Vec<&Version> = others.copied().collect();
        if others.is_empty() { of_model } else { others }
    } else {
        found
    };
    if let [one] = found[..] {
        return Ok(one);
    }
    let listed: Vec<String> = collection
        .versions
        .iter()
        .map(|version| format!("{} ({})", version.id.short(), model(version)))
        .collect();
    let why = if found.is_empty() {
        "there is no such version"
    } else {
        "more than one version answers to that name"
    };
    let mut names: Vec<&str> = collection.versions.iter().map(model).collect();
    names.extend(collection.versions.iter().map(|version| version.id.short()));
    let near = if found.is_empty() {
        nearest(named, names.into_iter())
    } else {
        None
    };
    let near = near.map_or_else(String::new, |near| format!("; did you mean {near}?"));
    Err(usage(format!(
        "{why}: {named:?}{near}; collection {} has {} (`smart-support model list`)",
        collection.name,
        listed.join(", ")
    )))
}
