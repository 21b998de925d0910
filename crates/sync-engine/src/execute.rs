//! The one road by which anything is written: vectors first, batch by batch, then one transaction.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Instant;

use embedder_client::{BatchLimits, EmbedError, Embedder, Meter, Purpose, embed_batches};
use faq_source::SourceSnapshot;
use futures_util::StreamExt;
use storage_core::{
    ChangeSet, CollectionName, ContentHash, EmbedText, Embedding, EmbeddingModel, EmbeddingStore,
    EmbeddingVersion, InputHash, Row, RunId, RunKind, RunRecord, RunState, Spend, StoreErrorKind,
    StoredVector, Timestamp, VectorKey, VersionId,
};

use crate::draft::{Draft, Stored};
use crate::plan::{Change, PlannedRow, SyncPlan};
use crate::work::Work;
use crate::{
    FailedRow, Progress, SyncError, SyncErrorKind, SyncMode, SyncPolicy, SyncReport, Target,
};

/// What a sync works with.
pub struct SyncContext<'a> {
    /// The store.
    pub store: &'a dyn EmbeddingStore,
    /// The provider.
    pub embedder: Arc<dyn Embedder>,
    /// Who hears how it gets on.
    pub progress: &'a dyn Progress,
    /// The clock; nothing is decided by it.
    pub clock: &'a (dyn Fn() -> Timestamp + Send + Sync),
    /// Names the run in the ledger.
    pub run: RunId,
    /// What one call may hold; the embedder's own limits hold too.
    pub batch: BatchLimits,
    /// Calls in flight; at least 1.
    pub concurrency: usize,
    /// What may be spent, by all runs that share it; whoever keeps a clone can stop the run. What has arrived by then
    /// is stored, and the next run goes on from there.
    pub meter: Meter,
}

impl fmt::Debug for SyncContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncContext")
            .field("store", &self.store)
            .field("embedder", &self.embedder)
            .finish_non_exhaustive()
    }
}

/// A plan, with what only the store could tell about its cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// The plan.
    pub plan: SyncPlan,
    /// Distinct texts that need a vector and have none.
    pub to_embed: usize,
    /// Distinct texts that need a vector and have one.
    pub reused: usize,
    /// Tokens that those to embed may cost, a guess: [`estimated_tokens`](crate::estimated_tokens).
    pub tokens: u64,
}

/// Makes the plan and writes nothing: what `--dry-run` shows.
///
/// # Errors
/// As [`sync`], up to the point where it would write.
pub async fn prepare(
    context: &SyncContext<'_>,
    collection: &CollectionName,
    snapshot: SourceSnapshot,
    policy: SyncPolicy,
) -> Result<Prepared, SyncError> {
    let plan = plan(context, collection, snapshot, policy).await?;
    let work = Work::of(context.store, &plan).await?;
    Ok(Prepared {
        to_embed: work.to_embed.len(),
        reused: work.stored.len(),
        tokens: work.estimated_tokens(&plan),
        plan,
    })
}

/// Brings the rows of one source in a collection up to date with what the source says.
///
/// Every vector is durable as soon as its batch has been answered; the rows move in one transaction at the end. When
/// anything fails before that, readers see no change, and the next run goes on from the stored vectors.
///
/// # Errors
/// [`SyncErrorKind`] tells what to do; the message says what was saved.
#[tracing::instrument(name = "sync", skip_all, fields(collection = %collection, run = %context.run))]
pub async fn sync(
    context: &SyncContext<'_>,
    collection: &CollectionName,
    snapshot: SourceSnapshot,
    policy: SyncPolicy,
) -> Result<SyncReport, SyncError> {
    let started = Instant::now();
    let plan = plan(context, collection, snapshot, policy).await?;
    context.progress.planned(&plan);
    let mut report = SyncReport::of_plan(&plan);
    report.seconds.plan = started.elapsed().as_secs_f64();
    if plan.is_empty() {
        return Ok(report);
    }
    let before = context.store.runs(collection, 1).await?;
    let resumed = before.iter().any(|run| run.state != RunState::Finished);
    // The ledger is in the order of these times. A clock that was set back must not put this run before the one that it
    // comes after.
    let earliest = before
        .first()
        .map(|run| Timestamp(run.started_at.0.saturating_add(1)));
    let started_at = (context.clock)().max(earliest.unwrap_or(Timestamp(i64::MIN)));
    let mut ledger = RunRecord {
        id: context.run.clone(),
        kind: if plan.mode == SyncMode::Forced {
            RunKind::Recompute
        } else {
            RunKind::Sync
        },
        collection: collection.clone(),
        source: None,
        version: plan.target.id().cloned(),
        state: RunState::Started,
        requests: 0,
        texts: 0,
        tokens: 0,
        started_at,
        finished_at: None,
    };
    context.store.record_run(&ledger).await?;
    let outcome = execute(context, plan, resumed, &mut report, &mut ledger).await;
    ledger.state = if outcome.is_ok() {
        RunState::Finished
    } else {
        RunState::Failed
    };
    ledger.finished_at = Some((context.clock)().max(started_at));
    let recorded = context.store.record_run(&ledger).await;
    outcome?;
    recorded?;
    Ok(report)
}

async fn plan(
    context: &SyncContext<'_>,
    collection: &CollectionName,
    snapshot: SourceSnapshot,
    policy: SyncPolicy,
) -> Result<SyncPlan, SyncError> {
    let store = context.store;
    let status = store.status().await?;
    let known = status.collection(collection);
    let target = if policy.force_recompute && known.is_some_and(|known| known.active.is_some()) {
        Target::forced(&status, &*context.embedder, context.run.as_str())
    } else {
        Target::incremental(&status, collection, &*context.embedder)?
    };
    let embed_text = known
        .map(|known| EmbedText::parse(&known.embed_text))
        .transpose()
        .map_err(|error| {
            SyncError::new(
                SyncErrorKind::Store(StoreErrorKind::Corrupt),
                format!("collection {collection}: {error}"),
            )
        })?;
    let (generation, fingerprints) = store.fingerprints(collection).await?;
    let stored = Stored {
        collection: collection.clone(),
        generation,
        fingerprints,
        sources: store.sources(collection).await?,
        embed_text,
        has_active: known.is_some_and(|known| known.active.is_some()),
    };
    let draft = Draft::new(stored, snapshot, target, policy)?;
    let needs = draft.needs();
    let documents = if needs.is_empty() {
        Vec::new()
    } else {
        store.documents(&needs).await?
    };
    draft.finish(documents)
}

async fn execute(
    context: &SyncContext<'_>,
    mut plan: SyncPlan,
    resumed: bool,
    report: &mut SyncReport,
    ledger: &mut RunRecord,
) -> Result<(), SyncError> {
    let started = Instant::now();
    let mut work = Work::of(context.store, &plan).await?;
    report.reused = work.stored.len();
    context
        .progress
        .embedding(work.stored.len(), work.to_embed.len(), resumed);
    work.afford(&context.meter, &plan)?;
    let mut version = plan.target.id().cloned();
    let rejected = embed(context, &plan, &mut work, &mut version, report, ledger).await?;
    report.seconds.embed = started.elapsed().as_secs_f64();

    let started = Instant::now();
    if !rejected.is_empty() {
        leave_out(&mut plan, &rejected, report);
        if plan.mode == SyncMode::Forced {
            // Readers keep the complete old version until the new one is complete too.
            return Ok(());
        }
    }
    let Some(version) = version else {
        // Nothing was embedded and nothing was known: every text was refused.
        return Ok(());
    };
    ledger.version = Some(version.clone());
    let changes = change_set(context, plan, &version, &work.stored)?;
    context
        .progress
        .applying(changes.upserts.len() + changes.binds.len() + changes.deletes.len());
    let applied = context
        .store
        .apply(changes)
        .await
        .map_err(|error| match error.kind() {
            StoreErrorKind::Conflict => SyncError::new(SyncErrorKind::Conflict, error.to_string()),
            _ => error.into(),
        })?;
    report.generation = applied.collection;
    report.applied = true;
    report.seconds.store = started.elapsed().as_secs_f64();
    tracing::info!(
        generation = applied.store.0,
        embedded = report.embedded,
        reused = report.reused,
        requests = report.requests,
        "applied"
    );
    Ok(())
}

/// Embeds what is missing and stores each batch at once. Returns the texts the provider refuses, with the reason.
async fn embed(
    context: &SyncContext<'_>,
    plan: &SyncPlan,
    work: &mut Work,
    version: &mut Option<VersionId>,
    report: &mut SyncReport,
    ledger: &mut RunRecord,
) -> Result<BTreeMap<InputHash, String>, SyncError> {
    let to_embed = std::mem::take(&mut work.to_embed);
    let all = to_embed.len();
    let mut rejected = BTreeMap::new();
    let mut model = plan.target.model().cloned();
    let mut fatal: Option<EmbedError> = None;
    let mut broken: Option<SyncError> = None;
    let own = context.embedder.limits();
    let limits = BatchLimits {
        texts: context.batch.texts.min(own.texts).max(1),
        bytes: context.batch.bytes.min(own.bytes),
    };
    let rows = &plan.rows;
    let text_of =
        |(_, position): &(InputHash, usize)| plan.embed_text.render(&rows[*position].document);
    let mut outcomes = std::pin::pin!(embed_batches(
        Arc::clone(&context.embedder),
        to_embed,
        text_of,
        Purpose::Passage,
        limits,
        context.concurrency.max(1),
        context.meter.clone(),
    ));
    while let Some(outcome) = outcomes.next().await {
        report.requests += u64::from(outcome.requests);
        ledger.requests = report.requests;
        let mut batch = Vec::with_capacity(outcome.vectors.len());
        for ((input, _), embedding) in outcome.vectors {
            batch.push((input, embedding));
        }
        report.tokens += outcome.tokens.unwrap_or_default();
        ledger.tokens = report.tokens;
        let spend = Spend {
            run: context.run.clone(),
            requests: u64::from(outcome.requests),
            texts: batch.len() as u64,
            tokens: outcome.tokens.unwrap_or_default(),
        };
        let kept = async {
            let Some(first) = batch.first() else {
                if spend.requests > 0 {
                    let now = (context.clock)();
                    context.store.put_embeddings(&[], &spend, now).await?;
                }
                return Ok(());
            };
            settle(context, plan, &mut model, version, &first.1).await?;
            let (Some(model), Some(version)) = (&model, &*version) else {
                return Ok(());
            };
            check_dimensions(model, &batch, plan)?;
            context.progress.embedded(batch.len());
            let vectors: Vec<StoredVector> = batch
                .into_iter()
                .map(|(input, embedding)| StoredVector {
                    key: VectorKey {
                        version: version.clone(),
                        input,
                        variant: None,
                    },
                    embedding,
                })
                .collect();
            let now = (context.clock)();
            context.store.put_embeddings(&vectors, &spend, now).await?;
            report.embedded += vectors.len();
            ledger.texts = report.embedded as u64;
            context.progress.stored(vectors.len());
            work.stored
                .extend(vectors.into_iter().map(|vector| (vector.key.input, None)));
            Ok::<(), SyncError>(())
        };
        if let Err(error) = kept.await {
            // Nothing more is sent, but what is in flight is paid for: it is awaited, and stored if it can be.
            context.meter.stop();
            broken.get_or_insert(error);
        }
        for ((input, _), error) in outcome.rejected {
            rejected.insert(input, error.to_string());
        }
        fatal = fatal.or(outcome.fatal);
    }
    report.model = model;
    if let Some(error) = broken {
        return Err(error.with_progress(report.embedded, all));
    }
    match fatal {
        Some(error) => Err(SyncError::embed(error, report.embedded, all)),
        None => Ok(rejected),
    }
}

/// Learns the model from the first vector, and registers its version.
async fn settle(
    context: &SyncContext<'_>,
    plan: &SyncPlan,
    model: &mut Option<EmbeddingModel>,
    version: &mut Option<VersionId>,
    first: &Embedding,
) -> Result<(), SyncError> {
    let (
        Target::New {
            spec,
            provider,
            nonce,
        },
        None,
    ) = (&plan.target, &*model)
    else {
        return Ok(());
    };
    let dimensions =
        NonZeroU32::new(first.dimensions()).expect("an embedding has at least one number");
    let learned = spec.with_dimensions(dimensions);
    let new = EmbeddingVersion::new(learned.clone(), nonce, provider, (context.clock)());
    context.store.register_version(&new).await?;
    *version = Some(new.id);
    *model = Some(learned);
    Ok(())
}

fn check_dimensions(
    model: &EmbeddingModel,
    batch: &[(InputHash, Embedding)],
    plan: &SyncPlan,
) -> Result<(), SyncError> {
    let Some((_, wrong)) = batch
        .iter()
        .find(|(_, vector)| vector.dimensions() != model.dimensions.get())
    else {
        return Ok(());
    };
    Err(SyncError::new(
        SyncErrorKind::Model,
        format!(
            "embedding dimension mismatch: collection {} has {}, the provider gives {}; choose the model that was \
             used (EMBEDDING_MODEL_NAME), or embed everything anew with `smart-support migrate --force-recompute`",
            plan.collection,
            model.dimensions,
            wrong.dimensions()
        ),
    ))
}

/// Takes rows whose text was refused out of the plan: the stored ones stay as they are.
fn leave_out(plan: &mut SyncPlan, rejected: &BTreeMap<InputHash, String>, report: &mut SyncReport) {
    let failed = plan.rows.extract_if(.., |row| {
        row.vector.is_none() && rejected.contains_key(&row.input)
    });
    for row in failed {
        match row.change {
            Change::Added => report.added -= 1,
            Change::Modified => report.modified -= 1,
            Change::Relabelled => report.relabelled -= 1,
            Change::Renamed { .. } => report.renamed -= 1,
            Change::Rebound => report.unchanged = report.unchanged.saturating_sub(1),
        }
        report.failed.push(FailedRow {
            id: Some(row.document.key.document),
            locator: row.document.locator,
            column: None,
            reason: rejected.get(&row.input).cloned().unwrap_or_default(),
        });
    }
}

fn change_set(
    context: &SyncContext<'_>,
    plan: SyncPlan,
    version: &VersionId,
    stored: &BTreeMap<InputHash, Option<ContentHash>>,
) -> Result<ChangeSet, SyncError> {
    let rebound = plan.count(|change| *change == Change::Rebound);
    let mut deletes = plan.deletes;
    // Exactly as large as they become: growing would hold the rows twice for a moment.
    let mut upserts = Vec::with_capacity(plan.rows.len() - rebound);
    let mut binds = Vec::with_capacity(rebound);
    for PlannedRow {
        document,
        input,
        vector,
        change,
    } in plan.rows
    {
        let vector = match vector {
            Some(vector) => *vector,
            None => {
                let variant = *stored.get(&input).ok_or_else(|| {
                    let message = format!("no vector arrived for {}", document.key.document);
                    SyncError::new(SyncErrorKind::Store(StoreErrorKind::Internal), message)
                })?;
                VectorKey {
                    version: version.clone(),
                    input,
                    variant,
                }
            }
        };
        match change {
            Change::Rebound => binds.push((document.key, vector)),
            Change::Renamed { from } => {
                deletes.push(*from);
                upserts.push(Row::new(document, vec![vector]));
            }
            Change::Added | Change::Modified | Change::Relabelled => {
                upserts.push(Row::new(document, vec![vector]))
            }
        }
    }
    Ok(ChangeSet {
        collection: plan.collection,
        base: plan.base,
        source: Some(plan.source),
        upserts,
        deletes,
        relocations: plan.relocations,
        binds,
        embed_text: plan.embed_text,
        activate: plan.activate.then(|| version.clone()),
        run: context.run.clone(),
        applied_at: (context.clock)(),
    })
}
