//! `sync`, and the work of `migrate`: diff, embed what changed, apply at once, verify, report.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use embedder_client::{BatchLimits, Embedder, Meter};
use storage_core::{EmbeddingStore, StoreErrorKind};
use sync_engine::{
    DeleteAllowance, Selection, SyncContext, SyncErrorKind, SyncMode, SyncPolicy, SyncReport,
    prepare, sync,
};

use crate::app::{self, App, OpenStore};
use crate::args::SyncArgs;
use crate::commands::source::{self, ReadSource};
use crate::commands::validate;
use crate::exit::{ExitCode, Failure, usage};
use crate::interrupt::{Interrupt, Phase};
use crate::parts::{self, Access};
use crate::progress::{Reporter, plan_lines};
use crate::settings::{BatchSettings, SourceSettings, SpendSettings};
use crate::wire;

/// What the name of a report begins with while it is being written; the number of the process follows.
pub(crate) const REPORT_PREFIX: &str = ".smart-support-report.";

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

pub(crate) async fn run(
    app: &App,
    args: &SyncArgs,
    entrance: Entrance,
) -> Result<ExitCode, Failure> {
    let named = source::named(app, &args.source)?;
    let policy = policy(args, &named)?;
    // Everything that can be wrong with settings and source is found before the store is touched.
    let embedder = app.embedder()?;
    let batches = batches(app.settings.batches()?, &*embedder);
    let spend = spend(app, &*embedder)?;
    let first = source::read(&named)?;
    let dimensions = embedder.spec().dimensions.map(std::num::NonZeroU32::get);
    if args.dry_run {
        let (store, degraded) = match app.open(Access::Read, dimensions) {
            Ok(store) => (store, None),
            Err(failure) if failure.store == Some(StoreErrorKind::NotFound) => {
                (parts::memory(), None)
            }
            Err(failure) => return Err(failure),
        };
        let embedder = follow(app, args, &*store, embedder).await?;
        let work = Work {
            app,
            store,
            embedder,
            batches,
            degraded,
            spend,
            meter: Meter::default(),
        };
        return work.dry_run(first, policy).await;
    }
    if entrance == Entrance::Migrate {
        tracing::info!(
            "Initializing storage at {}",
            parts::describe(&app.settings.store)
        );
    }
    let access = if entrance == Entrance::Migrate {
        Access::Create
    } else {
        Access::Write
    };
    let meter = Meter::new(spend.limits());
    let interrupt = Interrupt::listen(meter.clone());
    let OpenStore { store, degraded } = app.open_or_memory(access, dimensions)?;
    let embedder = follow(app, args, &*store, embedder).await?;
    let work = Work {
        app,
        store,
        embedder,
        batches,
        degraded,
        spend,
        meter,
    };
    let mut read_seconds = first.seconds;
    interrupt.enter(Phase::Working);
    let report = work.sync(first, &named, policy, &mut read_seconds).await;
    interrupt.enter(Phase::Finishing);
    let report = report.map_err(|failure| match failure.code {
        ExitCode::Interrupted => Failure {
            code: interrupt.code(),
            ..failure
        },
        _ => failure,
    })?;
    let validation = if args.no_verify || (entrance == Entrance::Sync && !report.applied) {
        None
    } else {
        let started = Instant::now();
        tracing::info!("Validating storage integrity");
        Some((work.store.check().await?, started.elapsed().as_secs_f64()))
    };
    work.finish(args, entrance, &report, validation, read_seconds)
        .await
}

/// The embedder of the version that is served, where the settings name that of another one; a recompute is done with
/// the one that is set.
async fn follow(
    app: &App,
    args: &SyncArgs,
    store: &dyn EmbeddingStore,
    configured: Arc<dyn Embedder>,
) -> Result<Arc<dyn Embedder>, Failure> {
    if args.force_recompute {
        return Ok(configured);
    }
    app.embedder_for(&store.status().await?, configured)
}

/// Reads the source into an empty store in memory: what serves while the real one cannot be opened.
pub(crate) async fn fill(
    app: &App,
    named: &SourceSettings,
    store: Arc<dyn EmbeddingStore>,
) -> Result<(), Failure> {
    let embedder = app.embedder()?;
    let batches = batches(app.settings.batches()?, &*embedder);
    let policy = SyncPolicy {
        embed_text: named.embed_text.clone(),
        ..SyncPolicy::default()
    };
    let work = Work {
        app,
        store,
        embedder,
        batches,
        degraded: None,
        spend: SpendSettings::default(),
        meter: Meter::default(),
    };
    work.sync(source::read(named)?, named, policy, &mut 0.0)
        .await?;
    Ok(())
}

struct Work<'a> {
    app: &'a App,
    store: Arc<dyn EmbeddingStore>,
    embedder: Arc<dyn Embedder>,
    batches: BatchSettings,
    degraded: Option<String>,
    spend: SpendSettings,
    meter: Meter,
}

impl Work<'_> {
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

    async fn dry_run(&self, source: ReadSource, policy: SyncPolicy) -> Result<ExitCode, Failure> {
        let reporter = self.reporter();
        let context = self.context(&reporter);
        let prepared = prepare(&context, self.app.collection(), source.snapshot, policy).await?;
        let output = self.app.output;
        output.print(format!(
            "Dry run: nothing is written to {}",
            parts::describe(&self.app.settings.store)
        ));
        for line in plan_lines(&prepared.plan) {
            output.print(line);
        }
        let calls = prepared.to_embed.div_ceil(self.batches.size);
        let estimate = wire::Estimate {
            requests: calls,
            tokens: prepared.tokens,
            cost: self.spend.cost(prepared.tokens),
        };
        output.print(format!(
            "To embed: {} texts ({} reused), {calls} requests, about {} tokens{}, with {}",
            prepared.to_embed,
            prepared.reused,
            prepared.tokens,
            dollars(estimate.cost),
            self.embedder.spec().name
        ));
        let report = sync_engine::SyncReport::of_plan(&prepared.plan);
        let mut document = wire::Sync::of(&report, self.app.collection().as_str(), self.describe());
        document.mode = "dry-run";
        document.to_embed = Some(prepared.to_embed);
        document.estimate = Some(estimate);
        document.reused = prepared.reused;
        document.seconds.read = source.seconds;
        document.seconds.total = self.app.started.elapsed().as_secs_f64();
        document.bytes = parts::file_bytes(&self.app.settings.store);
        document.model = self.model().await?;
        output.document(&document)?;
        Ok(if report.failed.is_empty() {
            ExitCode::Done
        } else {
            ExitCode::SomeRowsFailed
        })
    }

    /// Syncs; when another writer came first, reads and plans again, a few times.
    async fn sync(
        &self,
        first: ReadSource,
        named: &SourceSettings,
        policy: SyncPolicy,
        read_seconds: &mut f64,
    ) -> Result<SyncReport, Failure> {
        const ATTEMPTS: usize = 5;
        let mut source = Some(first);
        for attempt in 1.. {
            let ReadSource { snapshot, seconds } = match source.take() {
                Some(source) => source,
                None => source::read(named)?,
            };
            *read_seconds = seconds;
            let reporter = self.reporter();
            let outcome = sync(
                &self.context(&reporter),
                self.app.collection(),
                snapshot,
                policy.clone(),
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

    async fn finish(
        mut self,
        args: &SyncArgs,
        entrance: Entrance,
        report: &SyncReport,
        validation: Option<(storage_core::IntegrityReport, f64)>,
        read_seconds: f64,
    ) -> Result<ExitCode, Failure> {
        let output = self.app.output;
        let mut document = wire::Sync::of(report, self.app.collection().as_str(), self.describe());
        document.model = self.model().await?;
        document.degraded.clone_from(&self.degraded);
        document.cost = self.spend.cost(report.tokens);
        document.seconds.read = read_seconds;
        if let Some((checks, seconds)) = &validation {
            document.validation = Some(checks.into());
            document.seconds.verify = *seconds;
            validate::print(output, checks, &self.store.status().await?);
        }
        for row in &report.failed {
            let place = source::place(
                row.locator.sheet.as_deref(),
                row.locator.row,
                row.column.as_deref(),
            );
            output.print(format!("{} {place}: {}", output.mark(false), row.reason));
        }
        // What a person sees on disk is what is left when the store has moved its log into the file.
        self.store = parts::memory();
        document.bytes = parts::file_bytes(&self.app.settings.store);
        document.seconds.total = self.app.started.elapsed().as_secs_f64();
        self.print_report(entrance, report, document.seconds.total, document.bytes);
        if let Some(directory) = &args.metadata_dir {
            write_report(directory, &document)?;
        }
        output.document(&document)?;
        let valid = validation.is_none_or(|(checks, _)| checks.is_ok());
        Ok(match (valid, report.failed.is_empty()) {
            (false, _) => ExitCode::FaultsFound,
            (true, false) => ExitCode::SomeRowsFailed,
            (true, true) => ExitCode::Done,
        })
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
        Ok(wire::Model::active(&status, self.app.collection()))
    }

    fn print_report(&self, entrance: Entrance, report: &SyncReport, seconds: f64, bytes: u64) {
        let output = self.app.output;
        let title = match (report.mode, report.applied) {
            (_, false) if !report.failed.is_empty() => {
                "Nothing was applied: every change failed, or the new version is not complete."
            }
            (_, false) => "Up to date: nothing changed.",
            (SyncMode::Initial, _) if entrance == Entrance::Migrate => "Migration complete!",
            (SyncMode::Initial, _) => "Sync complete!",
            (SyncMode::Incremental, _) => "Incremental update complete!",
            (SyncMode::Forced, _) => "Recompute complete: the new version is live.",
        };
        let total = report.total + report.failed.len();
        let saved = total.saturating_sub(report.embedded);
        #[allow(
            clippy::cast_precision_loss,
            reason = "row counts and file sizes are far below 2^52"
        )]
        let (percent, megabytes) = (
            saved as f64 * 100.0 / total.max(1) as f64,
            bytes as f64 / 1e6,
        );
        output.say("");
        output.say(title);
        output.say(format!("├─ Total time: {seconds:.1} seconds"));
        output.say(format!("├─ Templates processed: {}", report.total));
        output.say(format!(
            "├─ API calls saved: {saved} of {total} templates ({percent:.1}%), {} requests made",
            report.requests
        ));
        if report.tokens > 0 {
            output.say(format!(
                "├─ Billed: {} tokens{}",
                report.tokens,
                dollars(self.spend.cost(report.tokens))
            ));
        }
        if !report.failed.is_empty() {
            output.say(format!("├─ Failed: {} (listed above)", report.failed.len()));
        }
        output.say(format!("├─ Database size: {megabytes:.1} MB"));
        output.say(format!("└─ Storage path: {}", self.describe()));
        if entrance == Entrance::Migrate && self.degraded.is_none() {
            output.say("\nNext steps:");
            output.say("1. Ask: smart-support search \"QUESTION\"");
            output.say("2. After the FAQ has changed: smart-support sync --faq-path FILE");
            output.say("3. Check the store at any time: smart-support validate");
        }
    }
}

fn policy(args: &SyncArgs, source: &SourceSettings) -> Result<SyncPolicy, Failure> {
    let deletes = match args.allow_delete.as_deref().map(str::trim) {
        None => DeleteAllowance::default(),
        Some(text) => {
            let wrong = || {
                usage(format!(
                    "--allow-delete is {text:?}; expected a number of rows or a share such as 50%"
                ))
            };
            match text.strip_suffix('%') {
                Some(percent) => {
                    let percent = percent
                        .trim()
                        .parse()
                        .ok()
                        .filter(|percent| (0.0..=100.0).contains(percent));
                    DeleteAllowance::Percent(percent.ok_or_else(wrong)?)
                }
                None => DeleteAllowance::Count(text.parse().map_err(|_| wrong())?),
            }
        }
    };
    Ok(SyncPolicy {
        deletes,
        selection: Selection {
            ids: args.only.iter().cloned().collect(),
            category: args.category.clone(),
        },
        force_recompute: args.force_recompute,
        embed_text: source.embed_text.clone(),
    })
}

/// What the run may spend; what runs in process costs nothing.
pub(crate) fn spend(app: &App, embedder: &dyn Embedder) -> Result<SpendSettings, Failure> {
    let spend = app.settings.spend()?;
    Ok(match embedder.provider() {
        "local" | "hash" => SpendSettings {
            max_cost: None,
            price: None,
            ..spend
        },
        _ if spend.max_cost.is_some() && spend.price.is_none() => {
            return Err(usage(
                "--max-cost needs the price: set EMBEDDING_PRICE to what the provider takes for a million tokens, in \
                 USD",
            ));
        }
        _ => spend,
    })
}

/// `, $0.0021`, where the price is known.
pub(crate) fn dollars(cost: Option<f64>) -> String {
    cost.map_or_else(String::new, |cost| format!(", ${cost:.4}"))
}

/// A model in process gains nothing from calls in flight, and wants larger batches than an API; what the user chose
/// holds.
pub(crate) fn batches(settings: BatchSettings, embedder: &dyn Embedder) -> BatchSettings {
    match embedder.provider() {
        "local" | "hash" if !settings.given => BatchSettings {
            size: 16,
            concurrency: 1,
            given: false,
        },
        _ => settings,
    }
}

/// Writes the JSON report beside others, by temporary name and rename.
fn write_report(directory: &Path, document: &wire::Sync) -> Result<(), Failure> {
    let unwritable = |error: std::io::Error| {
        Failure::new(
            ExitCode::Failed,
            format!(
                "the report cannot be written into {}: {error}",
                directory.display()
            ),
        )
    };
    std::fs::create_dir_all(directory).map_err(unwritable)?;
    let text = serde_json::to_string_pretty(document).map_err(std::io::Error::from)?;
    let path = directory.join("smart-support-report.json");
    let temporary = directory.join(format!("{REPORT_PREFIX}{}.tmp", std::process::id()));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
        .open(&temporary)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())
                .and_then(|()| file.sync_all())
        })
        .and_then(|()| std::fs::rename(&temporary, &path))
        .map_err(unwritable)?;
    tracing::info!("Report written to {}", path.display());
    Ok(())
}
