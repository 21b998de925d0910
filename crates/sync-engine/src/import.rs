//! Moves the records of a legacy store in, with the vectors they have: no text is embedded again.
//!
//! The same road as every other write. Vectors come first, by content, each batch durable and invisible; then the rows
//! move in one transaction, which keeps what it replaces, so that the run can be undone. What was written is read back
//! and compared with what the source gave, every vector bit for bit.

mod aim;
mod check;
mod fields;
mod progress;
mod report;
mod rollback;
mod rows;
mod verify;

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Instant;

use embedder_client::{Embedder, Meter};
use futures_util::{TryStreamExt, future};
use storage_core::{
    ChangeSet, CollectionName, EmbedText, EmbeddingStore, ImportError, ImportSource, Imported,
    RunId, RunKind, Source, Spend, StoredVector, Timestamp, UndoPolicy,
};

use crate::ledger::{Ledger, Spent};
use crate::{SyncError, SyncErrorKind};
use aim::Aim;
use rows::Sorter;

pub use aim::{IMPORTED, imported_model};
pub use check::ModelCheck;
pub use fields::FieldMap;
pub use progress::{ImportPlan, ImportProgress, NoImportProgress};
pub use report::{ImportReport, ImportSeconds};
pub use rollback::{RollbackReport, rollback_import};
pub use verify::Verified;

/// What an import works with.
pub struct ImportContext<'a> {
    /// Where the records go.
    pub store: &'a dyn EmbeddingStore,
    /// Where they come from.
    pub source: &'a dyn ImportSource,
    /// The provider of the model that the vectors are of, where one is known: it knows more of the model than the name.
    pub embedder: Option<Arc<dyn Embedder>>,
    /// Whether it may be asked if the vectors are of its model.
    pub ask: bool,
    /// Who hears how it gets on.
    pub progress: &'a dyn ImportProgress,
    /// The clock; nothing is decided by it.
    pub clock: &'a (dyn Fn() -> Timestamp + Send + Sync),
    /// Names the run in the ledger: what a rollback is asked for.
    pub run: RunId,
    /// Whoever keeps a clone can stop the run. What is stored by then stays, and the next run goes on from there.
    pub meter: Meter,
}

impl fmt::Debug for ImportContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImportContext")
            .field("store", &self.store)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

/// What to import, and how.
#[derive(Debug, Clone)]
pub struct ImportOptions {
    /// Into which collection.
    pub collection: CollectionName,
    /// The model that the vectors are of; `None` believes what the source says.
    pub model: Option<String>,
    /// By which road that model is asked, where that is known: provenance.
    pub provider: Option<String>,
    /// How many numbers a vector must have.
    pub dimensions: Option<NonZeroU32>,
    /// Records a batch, each one transaction; at least 1.
    pub batch: usize,
    /// Write over rows of other sources that have the same id and differ.
    pub overwrite: bool,
    /// Read back and compare what was written.
    pub verify: bool,
    /// Decide everything and write nothing.
    pub dry_run: bool,
    /// Which metadata also become question, answer and categories.
    pub fields: FieldMap,
    /// What a new collection embeds; `None` finds the recipe that gives the source's own texts.
    pub embed_text: Option<EmbedText>,
}

/// Moves a legacy collection into a collection of the store.
///
/// # Errors
/// `ModelUnknown` when neither source nor options name the model. `Model` when the collection has rows of another model or
/// recipe, or the provider gives other vectors for the same texts. `Import` when the source cannot be read to its end:
/// what was stored by then is invisible. `Stopped`, `Conflict` and `Store` as in a sync. Nothing visible has changed then.
#[tracing::instrument(name = "import", skip_all, fields(collection = %options.collection, run = %context.run))]
pub async fn import(
    context: &ImportContext<'_>,
    options: &ImportOptions,
) -> Result<ImportReport, SyncError> {
    let mut report = ImportReport::new(context.source.collection(), options, &context.run);
    let mut batches = Batches::new(context.source, options.batch);
    let first = batches.next().await?;
    if first.is_empty() {
        // A collection that was made and never filled: nothing to decide by, and nothing to do.
        report.count_against_source();
        return Ok(report);
    }
    let aim = Aim::of(context, options, &first).await?;
    report.model = Some(aim.space.model.clone());
    report.provider.clone_from(&aim.space.provider);
    report.embed_text = Some(aim.embed_text.clone());
    context.progress.planned(&ImportPlan {
        total: report.source_total,
        batch: options.batch.max(1) as u64,
        model: aim.space.model.clone(),
        records_there: aim.fingerprints.len() as u64,
        new_collection: aim.activate,
    });
    let importing = Importing {
        context,
        options,
        aim: &aim,
    };
    if options.dry_run {
        importing.rehearse(first, batches, &mut report).await?;
        return Ok(report);
    }
    let mut ledger = Ledger::open(
        context.store,
        context.clock,
        context.run.clone(),
        RunKind::Import,
        &options.collection,
    )
    .await?;
    ledger.fills(&aim.version_id);
    report.resumed = ledger.resumed;
    if ledger.resumed {
        context.progress.resuming();
    }
    let mut spent = Spent::default();
    let outcome = importing.run(first, batches, &mut report, &mut spent).await;
    report.requests = spent.requests;
    ledger.close(spent, outcome).await?;
    Ok(report)
}

/// An import under way.
struct Importing<'a> {
    context: &'a ImportContext<'a>,
    options: &'a ImportOptions,
    aim: &'a Aim,
}

impl Importing<'_> {
    /// Decides about every record, and writes nothing.
    async fn rehearse(
        &self,
        first: Vec<Imported>,
        mut batches: Batches,
        report: &mut ImportReport,
    ) -> Result<(), SyncError> {
        let mut sorter = Sorter::new(self.options, self.aim, report.source_total);
        let mut batch = first;
        while !batch.is_empty() {
            self.go_on()?;
            sorter.take(batch)?;
            batch = batches.next().await?;
        }
        sorter.count(report);
        report.count_against_source();
        Ok(())
    }

    async fn run(
        &self,
        first: Vec<Imported>,
        mut batches: Batches,
        report: &mut ImportReport,
        spent: &mut Spent,
    ) -> Result<(), SyncError> {
        let started = Instant::now();
        let (store, space) = (self.context.store, &self.aim.space);
        let mut sorter = Sorter::new(self.options, self.aim, report.source_total);
        let mut probe = check::Probe::new(self.context, space, report.lossy.is_some());
        let mut batch = first;
        let mut number = 0;
        let mut stored = false;
        while !batch.is_empty() {
            self.go_on()?;
            number += 1;
            self.context.progress.batch(number, batch.len() as u64);
            probe.ask(&batch, spent).await?;
            let vectors = sorter.take(batch)?;
            if !stored && !vectors.is_empty() {
                store.register_space(space).await?;
                stored = true;
            }
            // One batch is written while the next one is read.
            let (written, following) = future::join(self.put(vectors), batches.next()).await;
            written?;
            self.context
                .progress
                .moved(sorter.seen(), sorter.moving(), sorter.faulty());
            batch = following?;
        }
        report.check = probe.outcome();
        let rows = sorter.count(report);
        report.count_against_source();
        report.seconds.migrate = started.elapsed().as_secs_f64();
        self.apply(rows, report).await?;
        if self.options.verify {
            let started = Instant::now();
            self.context.progress.verifying();
            report.verified =
                Some(verify::compare(store, self.options, self.aim, sorter.expected()).await?);
            report.seconds.verify = started.elapsed().as_secs_f64();
        }
        Ok(())
    }

    async fn put(&self, vectors: Vec<StoredVector>) -> Result<(), SyncError> {
        if vectors.is_empty() {
            return Ok(());
        }
        let spend = Spend::nothing(self.context.run.clone());
        let now = (self.context.clock)();
        Ok(self
            .context
            .store
            .put_embeddings(&vectors, &spend, now)
            .await?)
    }

    /// The one visible moment.
    async fn apply(&self, rows: rows::Moving, report: &mut ImportReport) -> Result<(), SyncError> {
        if rows.upserts.is_empty() && rows.relocations.is_empty() {
            return Ok(());
        }
        let started = Instant::now();
        self.context.progress.applying(rows.upserts.len());
        let described = self.context.source.collection();
        let changes = ChangeSet {
            collection: self.options.collection.clone(),
            base: self.aim.base,
            source: Some(Source {
                id: self.aim.source.clone(),
                collection: self.options.collection.clone(),
                kind: described.kind.to_owned(),
                location: described.location.clone(),
            }),
            upserts: rows.upserts,
            deletes: rows.deletes.into_iter().collect(),
            relocations: rows.relocations,
            binds: Vec::new(),
            register: Some(self.aim.version.clone()),
            complete: None,
            activate: self.aim.activate.then(|| self.aim.version_id.clone()),
            undo: UndoPolicy::Keep,
            run: self.context.run.clone(),
            applied_at: (self.context.clock)(),
        };
        let applied = self
            .context
            .store
            .apply(changes)
            .await
            .map_err(SyncError::of_apply)?;
        report.generation = Some(applied.collection);
        report.applied = true;
        report.seconds.store = started.elapsed().as_secs_f64();
        Ok(())
    }

    /// Stops between batches when somebody asked for it.
    fn go_on(&self) -> Result<(), SyncError> {
        if self.context.meter.is_stopped() {
            return Err(SyncError::new(
                SyncErrorKind::Stopped,
                "stopped: the vectors that were read are stored, no row has moved; to resume, run the same command again",
            ));
        }
        Ok(())
    }
}

/// Bytes of vectors after which a batch is full, however many records were asked for.
const BATCH_BYTES: usize = 16 << 20;

/// The source's records in batches of one size.
struct Batches {
    stream: futures_util::stream::BoxStream<'static, Result<Vec<Imported>, ImportError>>,
    left: std::collections::VecDeque<Imported>,
    size: usize,
    ended: bool,
}

impl Batches {
    fn new(source: &dyn ImportSource, size: usize) -> Self {
        Self {
            stream: source.read(),
            left: std::collections::VecDeque::new(),
            size: size.max(1),
            ended: false,
        }
    }

    /// The next batch; empty at the end.
    async fn next(&mut self) -> Result<Vec<Imported>, SyncError> {
        while self.left.len() < self.size && self.bytes() < BATCH_BYTES && !self.ended {
            match self.stream.try_next().await? {
                Some(more) => self.left.extend(more),
                None => self.ended = true,
            }
        }
        let take = self.size.min(self.left.len());
        Ok(self.left.drain(..take).collect())
    }

    /// What the vectors that wait take: all are of one length.
    fn bytes(&self) -> usize {
        let first = self.left.iter().find_map(|item| match item {
            Imported::Record(record) => Some(4 * record.embedding.as_slice().len()),
            Imported::Fault(_) => None,
        });
        first.unwrap_or_default() * self.left.len()
    }
}
