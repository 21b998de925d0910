//! How an import looks while it runs: six named steps, counts before the work.

use std::sync::atomic::{AtomicU64, Ordering};

use storage_core::EmbeddingStore;
use sync_engine::{ImportPlan, ImportProgress, ImportReport, ModelCheck};

use super::Move;
use crate::app::App;
use crate::args::ImportArgs;
use crate::commands::diff::counted;
use crate::exit::Failure;
use crate::parts;

/// Batches that are told one by one; of more, every tenth of the work is.
const FEW_BATCHES: u64 = 30;

/// Hears an import and tells the user.
pub(super) struct Steps<'a> {
    app: &'a App,
    dry_run: bool,
    total: AtomicU64,
    batches: AtomicU64,
    tenth: AtomicU64,
}

impl<'a> Steps<'a> {
    pub(super) fn new(app: &'a App, args: &ImportArgs) -> Self {
        Self {
            app,
            dry_run: args.dry_run,
            total: AtomicU64::new(0),
            batches: AtomicU64::new(0),
            tenth: AtomicU64::new(0),
        }
    }

    /// What was found of the source, before the store is touched.
    pub(super) fn preflight(&self, moves: &[Move]) {
        tracing::info!("[Step 1/6] Running pre-flight checks...");
        for one in moves {
            let found = one.describe();
            let width = found.dimensions.map_or_else(
                || "no vectors".to_owned(),
                |width| format!("{width} dimensions"),
            );
            tracing::info!(
                "  {} {} collection '{}' found in {}: {}, {width}, {}",
                self.app.output.mark(true),
                found.kind,
                found.name,
                found.location,
                counted(found.total, "record"),
                found.metric.as_str()
            );
            for note in &found.notes {
                tracing::warn!("  {note}");
            }
            if let Some(lossy) = &found.lossy {
                tracing::warn!("  The vectors are approximations: {lossy}");
            }
            if let (Some(said), Some(named)) = (&found.model, &one.options.model)
                && said != named
            {
                tracing::warn!(
                    "  The source says that its vectors are of {said}, --model says {named}: going with what was typed"
                );
            }
            if let Some(why) = &one.on_trust {
                tracing::warn!("  The model's name is taken on trust: {why}");
            }
        }
    }

    pub(super) async fn opened(&self, store: &dyn EmbeddingStore) -> Result<(), Failure> {
        let status = store.status().await?;
        tracing::info!(
            "  {} Store {} ready (schema {}, generation {})",
            self.app.output.mark(true),
            parts::describe(&self.app.settings.store),
            status.schema_version,
            status.generation.0
        );
        Ok(())
    }

    /// What is there before anything is moved.
    pub(super) async fn begin(
        &self,
        one: &Move,
        store: &dyn EmbeddingStore,
    ) -> Result<(), Failure> {
        let status = store.status().await?;
        let collection = &one.options.collection;
        let known = status.collection(collection);
        let found = one.describe();
        self.total.store(found.total, Ordering::Relaxed);
        self.tenth.store(0, Ordering::Relaxed);
        tracing::info!("[Step 2/6] Analyzing current state...");
        tracing::info!("  Total records in '{}': {}", found.name, found.total);
        tracing::info!(
            "  Rows in collection {collection}: {}",
            known.map_or(0, |known| known.records)
        );
        if let Some(active) = status.active(collection) {
            tracing::info!("  Model of collection {collection}: {}", active.model);
        }
        tracing::info!("[Step 3/6] Building migration plan...");
        if found.total == 0 {
            tracing::info!("  Nothing to move");
        }
        Ok(())
    }

    /// What came of it, as far as it is not in the summary.
    pub(super) fn verified(&self, report: &ImportReport) {
        let mark = self.app.output.mark(true);
        match report.check {
            ModelCheck::Agrees { texts, least } => tracing::info!(
                "  {mark} The provider gives the same vectors for {} (least cosine {least:.4})",
                counted(texts as u64, "text")
            ),
            ModelCheck::NoText => tracing::info!("  No text to ask the provider about"),
            ModelCheck::NotAsked => {}
        }
        let Some(verified) = &report.verified else {
            return;
        };
        tracing::info!(
            "  Expected rows: {}",
            report.added + report.replaced + report.unchanged
        );
        tracing::info!(
            "  {} {} compared with the source, every vector bit for bit: {} differ",
            self.app.output.mark(verified.differing == 0),
            counted(verified.rows, "row"),
            verified.differing
        );
        for (id, how) in &verified.named {
            tracing::warn!("  {} {id}: {how}", self.app.output.mark(false));
        }
    }
}

impl ImportProgress for Steps<'_> {
    fn planned(&self, plan: &ImportPlan) {
        self.batches.store(plan.batches(), Ordering::Relaxed);
        tracing::info!(
            "  {} in {} of {}, as vectors of {}; 0 texts to embed",
            counted(plan.total, "record"),
            counted(plan.batches(), "batch"),
            plan.batch,
            plan.model
        );
        if plan.new_collection {
            tracing::info!("  The collection is new, and will serve this model");
        }
        if self.dry_run {
            tracing::info!("  Reading every record (DRY RUN)");
        } else {
            tracing::info!("[Step 4/6] Migrating {}...", counted(plan.total, "record"));
        }
    }

    fn resuming(&self) {
        tracing::info!(
            "  Resuming: the run before this one was cut off; vectors that it stored are found by content"
        );
    }

    fn batch(&self, number: u64, records: u64) {
        let of = self.batches.load(Ordering::Relaxed);
        if of <= FEW_BATCHES {
            tracing::info!(
                "  Processing batch {number}/{of} ({})...",
                counted(records, "record")
            );
        }
    }

    #[allow(
        clippy::cast_precision_loss,
        reason = "record counts are far below 2^52"
    )]
    fn moved(&self, seen: u64, moving: u64, faulty: u64) {
        let total = self.total.load(Ordering::Relaxed).max(1);
        let tenth = seen * 10 / total;
        let told = self.tenth.swap(tenth, Ordering::Relaxed);
        if self.batches.load(Ordering::Relaxed) <= FEW_BATCHES || tenth > told {
            tracing::info!(
                "  Progress: {seen}/{total} ({:.1}%) - Migrated: {moving}, Errors: {faulty}",
                seen as f64 * 100.0 / total as f64
            );
        }
    }

    fn applying(&self, rows: usize) {
        tracing::info!(
            "  Moving {} in one transaction",
            counted(rows as u64, "row")
        );
    }

    fn verifying(&self) {
        tracing::info!("[Step 5/6] Verifying migration integrity...");
    }
}
