//! `sync`, and the work of `migrate` and `apply`: diff, embed what changed, apply at once, verify, report.

mod dry_run;
mod frozen;
mod report;
mod terms;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use embedder_client::{BatchLimits, Embedder, Meter};
use storage_core::{CollectionName, EmbeddingStore, StoreStatus};
use sync_engine::{SyncContext, SyncErrorKind, SyncPlan, SyncPolicy, SyncReport, sync_if};

use crate::app::{self, App, OpenStore};
use crate::args::SyncArgs;
use crate::commands::source::{self, ReadSource};
use crate::exit::{ExitCode, Failure, usage};
use crate::interrupt::{Interrupt, Phase};
use crate::parts::{self, Access};
use crate::progress::Reporter;
use crate::settings::{BatchSettings, SourceSettings, SpendSettings};
use crate::wire;

pub(crate) use frozen::apply;
use terms::PolicyWords;
pub(crate) use terms::{batches, dollars, spend};

/// Which command asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entrance {
    /// Creates and upgrades the store where needed.
    Migrate,
    /// Refuses an old schema.
    Sync,
}

/// UTF-8 bytes of one call: far above ten FAQ entries, far below what providers refuse.
pub(crate) const BATCH_BYTES: usize = 256 * 1024;

/// What is to be synced, and how, as flags or a plan say it.
struct Request<'a> {
    entrance: Entrance,
    collection: CollectionName,
    source: SourceSettings,
    policy: PolicyWords,
    no_verify: bool,
    metadata_dir: Option<&'a Path>,
    /// The plan that was agreed on, with its file.
    agreed: Option<&'a frozen::Agreed<'a>>,
}

impl Request<'_> {
    fn policy(&self) -> Result<SyncPolicy, Failure> {
        Ok(SyncPolicy {
            first_embed_text: source::first_embed_text(&self.source),
            ..terms::policy(&self.policy, self.source.embed_text.clone())?
        })
    }
}

/// What every run has at hand before the store is touched.
struct Means {
    embedder: Arc<dyn Embedder>,
    batches: BatchSettings,
    spend: SpendSettings,
}

impl Means {
    fn of(app: &App) -> Result<Self, Failure> {
        let embedder = app.embedder()?;
        Ok(Self {
            batches: terms::batches(app.settings.batches()?, &*embedder),
            spend: terms::spend(app, &*embedder)?,
            embedder,
        })
    }

    fn dimensions(&self) -> Option<u32> {
        let dimensions = self.embedder.spec().dimensions;
        dimensions.map(std::num::NonZeroU32::get)
    }

    /// The embedder of the version that is served, where the settings name that of another one; a recompute is done
    /// with the one that is set.
    fn follow(
        self,
        app: &App,
        request: &Request<'_>,
        status: &StoreStatus,
    ) -> Result<Self, Failure> {
        if request.policy.force {
            return Ok(self);
        }
        let embedder = app.embedder_for_collection(status, &request.collection, self.embedder)?;
        let spend = terms::spend(app, &*embedder)?;
        // The meter is set before the store is opened, since a signal may come while it is waited for.
        if spend.limits() != self.spend.limits() {
            return Err(usage(format!(
                "--max-cost was reckoned with the price of the model that is set, and the collection serves {}; set \
                 EMBEDDING_MODEL_NAME to that",
                embedder.spec().name
            )));
        }
        Ok(Self {
            batches: terms::batches(app.settings.batches()?, &*embedder),
            spend,
            embedder,
        })
    }
}

pub(crate) async fn run(
    app: &App,
    args: &SyncArgs,
    entrance: Entrance,
) -> Result<ExitCode, Failure> {
    let request = Request {
        entrance,
        collection: app.collection().clone(),
        source: source::named(app, &args.source)?,
        policy: PolicyWords::of(args),
        no_verify: args.no_verify,
        metadata_dir: args.metadata_dir.as_deref(),
        agreed: None,
    };
    let policy = request.policy()?;
    // Everything that can be wrong with settings and source is found before the store is touched.
    let means = Means::of(app)?;
    if args.dry_run || args.plan_out.is_some() {
        return dry_run::run(app, &request, policy, means, args.plan_out.as_deref()).await;
    }
    let first = source::read(&request.source)?;
    perform(app, &request, policy, means, first).await
}

/// Writes what the request asks for.
async fn perform(
    app: &App,
    request: &Request<'_>,
    policy: SyncPolicy,
    means: Means,
    first: ReadSource,
) -> Result<ExitCode, Failure> {
    let access = if request.entrance == Entrance::Migrate {
        tracing::info!(
            "Initializing storage at {}",
            parts::describe(&app.settings.store)
        );
        Access::Create
    } else {
        Access::Write
    };
    let meter = Meter::new(means.spend.limits());
    let interrupt = Interrupt::listen(meter.clone());
    let dimensions = means.dimensions();
    let OpenStore { store, degraded } = match request.agreed {
        // A plan is for one store, and memory is another.
        Some(_) => OpenStore {
            store: app.open(access, dimensions).await?,
            degraded: None,
        },
        None => app.open_or_memory(access, dimensions).await?,
    };
    let means = means.follow(app, request, &store.status().await?)?;
    let work = Work::new(app, &request.collection, store, means, degraded, meter);
    let source = match request.metadata_dir {
        // A source that is gone or changed by now is none to name by a digest.
        Some(_) => {
            let digest = request.source.file().map(frozen::source_digest);
            let digest = digest.and_then(Result::ok);
            Some(wire::SourceRead::of(&first.snapshot, digest))
        }
        None => None,
    };
    let mut read_seconds = first.seconds;
    interrupt.enter(Phase::Working);
    let report = work.sync(first, request, policy, &mut read_seconds).await;
    interrupt.enter(Phase::Finishing);
    let report = report.map_err(|failure| interrupt.explain(failure))?;
    let unasked = request.entrance == Entrance::Sync && !report.applied;
    let validation = if request.no_verify || unasked {
        None
    } else {
        let started = Instant::now();
        tracing::info!("Validating storage integrity");
        Some((work.store.check().await?, started.elapsed().as_secs_f64()))
    };
    work.finish(request, &report, validation, read_seconds, source)
        .await
}

/// Reads the source into an empty store in memory: what serves while the real one cannot be opened.
pub(crate) async fn fill(
    app: &App,
    named: &SourceSettings,
    store: Arc<dyn EmbeddingStore>,
) -> Result<(), Failure> {
    let embedder = app.embedder()?;
    let means = Means {
        batches: terms::batches(app.settings.batches()?, &*embedder),
        spend: terms::spend(app, &*embedder)?,
        embedder,
    };
    let request = Request {
        entrance: Entrance::Sync,
        collection: app.collection().clone(),
        source: named.clone(),
        policy: PolicyWords::default(),
        no_verify: true,
        metadata_dir: None,
        agreed: None,
    };
    let collection = app.collection();
    let meter = Meter::new(means.spend.limits());
    let work = Work::new(app, collection, store, means, None, meter);
    work.sync(source::read(named)?, &request, request.policy()?, &mut 0.0)
        .await?;
    Ok(())
}

struct Work<'a> {
    app: &'a App,
    collection: &'a CollectionName,
    store: Arc<dyn EmbeddingStore>,
    embedder: Arc<dyn Embedder>,
    batches: BatchSettings,
    degraded: Option<String>,
    spend: SpendSettings,
    meter: Meter,
}

impl<'a> Work<'a> {
    fn new(
        app: &'a App,
        collection: &'a CollectionName,
        store: Arc<dyn EmbeddingStore>,
        means: Means,
        degraded: Option<String>,
        meter: Meter,
    ) -> Self {
        Self {
            app,
            collection,
            store,
            embedder: means.embedder,
            batches: means.batches,
            degraded,
            spend: means.spend,
            meter,
        }
    }

    fn context<'b>(&'b self, progress: &'b Reporter) -> SyncContext<'b> {
        SyncContext {
            store: &*self.store,
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

    fn reporter(&self) -> Reporter {
        Reporter::new(
            self.app.output,
            self.batches.size,
            self.embedder.spec().name.clone(),
        )
    }

    /// Syncs; when another writer came first, reads and plans again, a few times. A plan that was agreed on is compared
    /// every time, so it is applied as it is or not at all.
    async fn sync(
        &self,
        first: ReadSource,
        request: &Request<'_>,
        policy: SyncPolicy,
        read_seconds: &mut f64,
    ) -> Result<SyncReport, Failure> {
        const ATTEMPTS: usize = 5;
        let approve = |plan: &SyncPlan| match request.agreed {
            Some(agreed) => agreed.approve(plan),
            None => Ok(()),
        };
        let mut source = Some(first);
        for attempt in 1.. {
            if let Some(agreed) = request.agreed {
                let status = self.store.status().await?;
                agreed.check(Some(&status), &*self.embedder)?;
            }
            let ReadSource { snapshot, seconds } = match source.take() {
                Some(source) => source,
                None => source::read(&request.source)?,
            };
            *read_seconds = seconds;
            let reporter = self.reporter();
            let context = self.context(&reporter);
            let outcome = sync_if(
                &context,
                self.collection,
                snapshot,
                policy.clone(),
                &approve,
            )
            .await;
            match outcome {
                Err(error) if error.kind() == SyncErrorKind::Conflict && attempt < ATTEMPTS => {
                    tracing::warn!("Another writer came first; planning again");
                }
                outcome => return Ok(outcome?),
            }
        }
        Err(usage("no attempt was made"))
    }

    fn describe(&self) -> String {
        if self.degraded.is_some() {
            "memory".to_owned()
        } else {
            parts::describe(&self.app.settings.store)
        }
    }

    async fn model(&self) -> Result<Option<wire::Model>, Failure> {
        let status = self.store.status().await?;
        Ok(wire::Model::active(&status, self.collection))
    }
}
