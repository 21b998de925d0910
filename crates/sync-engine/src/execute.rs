//! The one road by which anything is written: vectors first, batch by batch, then one transaction.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use embedder_client::{BatchLimits, Embedder, Meter};
use faq_source::SourceSnapshot;
use storage_core::{
    Binding, ChangeSet, CollectionName, CollectionStatus, ContentHash, EmbedText, EmbeddingStore,
    InputHash, Row, RunId, RunKind, StoreErrorKind, StoreStatus, Timestamp, UndoPolicy, VectorKey,
    VersionSpec,
};

use crate::canary;
use crate::companion;
use crate::draft::{Draft, Stored};
use crate::estimate::Estimate;
use crate::plan::{Change, PlannedRow, SyncPlan};
use crate::run::Run;
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
    /// Distinct texts that need a vector and have one.
    pub reused: usize,
    /// What sending the distinct texts takes that need a vector and have none.
    pub estimate: Estimate,
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
        estimate: Estimate::of(context, &plan.target, work.texts(&plan)).await?,
        reused: work.stored.len(),
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
pub async fn sync(
    context: &SyncContext<'_>,
    collection: &CollectionName,
    snapshot: SourceSnapshot,
    policy: SyncPolicy,
) -> Result<SyncReport, SyncError> {
    sync_if(context, collection, snapshot, policy, &|_| Ok(())).await
}

/// Syncs as [`sync`] does, if the plan is approved: before a text is sent or a row written. What is applied in the end
/// is that plan or nothing.
///
/// # Errors
/// `Stale` with the words of whoever did not approve; otherwise as [`sync`].
#[tracing::instrument(name = "sync", skip_all, fields(collection = %collection, run = %context.run))]
pub async fn sync_if(
    context: &SyncContext<'_>,
    collection: &CollectionName,
    snapshot: SourceSnapshot,
    policy: SyncPolicy,
    approve: &(dyn Fn(&SyncPlan) -> Result<(), String> + Send + Sync),
) -> Result<SyncReport, SyncError> {
    let started = Instant::now();
    let plan = plan(context, collection, snapshot, policy).await?;
    approve(&plan).map_err(|why| SyncError::new(SyncErrorKind::Stale, why))?;
    context.progress.planned(&plan);
    let mut report = SyncReport::of_plan(&plan);
    report.seconds.plan = started.elapsed().as_secs_f64();
    if plan.is_empty() {
        return Ok(report);
    }
    let kind = if plan.mode == SyncMode::Forced {
        RunKind::Recompute
    } else {
        RunKind::Sync
    };
    let mut run = Run::start(context, collection, kind, plan.target.clone()).await?;
    let outcome = execute(context, plan, &mut run, &mut report).await;
    report.embedded = run.embedded;
    report.requests = run.requests;
    report.tokens = run.tokens;
    report.model = run.target.model().cloned();
    run.finish(outcome).await?;
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
    let mut policy = policy;
    let embed_text = known
        .map_or(Ok(None), CollectionStatus::embed_text)
        .map_err(|error| {
            SyncError::new(
                SyncErrorKind::Store(StoreErrorKind::Corrupt),
                format!("collection {collection}: {error}"),
            )
        })?;
    if let (Some(set), Some(served)) = (&policy.embed_text, &embed_text)
        && set != served
        && !policy.force_recompute
        && known.is_some_and(|known| has_recipe(known, set))
    {
        // As with models: what a promotion switched to is not switched back by a setting.
        tracing::warn!(
            "Collection {collection} serves the recipe {:?} now, the settings say {:?}: going with what it serves",
            served.as_str(),
            set.as_str()
        );
        policy.embed_text = None;
    }
    let target = if policy.force_recompute && known.is_some_and(|known| known.active.is_some()) {
        let recipe = policy.embed_text.clone().or_else(|| embed_text.clone());
        let recipe = recipe.unwrap_or_default();
        forced(context, &status, collection, &recipe).await?
    } else {
        Target::incremental(&status, collection, &*context.embedder)?
    };
    let (generation, fingerprints) = store.fingerprints(collection).await?;
    let stored = Stored {
        collection: collection.clone(),
        generation,
        fingerprints,
        sources: store.sources(collection).await?,
        embed_text,
        has_active: known.is_some_and(|known| known.active.is_some())
            && (known.is_some_and(|known| known.records > 0)
                || status.active(collection).map(|active| &active.id) == target.id()),
    };
    let draft = Draft::new(stored, snapshot, target, policy)?;
    let needs = draft.needs();
    let documents = if needs.is_empty() {
        Vec::new()
    } else {
        store.documents(&needs).await?
    };
    let mut plan = draft.finish(documents)?;
    plan.companions = known.map(companion::of).unwrap_or_default();
    Ok(plan)
}

fn has_recipe(known: &CollectionStatus, recipe: &EmbedText) -> bool {
    let mut versions = known.versions.iter();
    versions.any(|version| version.embed_text == recipe.as_str())
}

/// The space for embedding a collection anew. One that was begun with a model that the provider no longer serves is
/// passed over: its vectors and the new ones would be of two models.
pub(crate) async fn forced(
    context: &SyncContext<'_>,
    status: &StoreStatus,
    collection: &CollectionName,
    embed_text: &EmbedText,
) -> Result<Target, SyncError> {
    let (embedder, run) = (&*context.embedder, context.run.as_str());
    let target = Target::forced(status, collection, embed_text, embedder, run);
    if let Target::Known(space) = &target
        && !canary::is_same(context, space).await?
    {
        return Ok(Target::fresh(embedder, run));
    }
    Ok(target)
}

async fn execute(
    context: &SyncContext<'_>,
    mut plan: SyncPlan,
    run: &mut Run<'_>,
    report: &mut SyncReport,
) -> Result<(), SyncError> {
    let started = Instant::now();
    let mut work = Work::of(context.store, &plan).await?;
    report.reused = work.stored.len();
    context
        .progress
        .embedding(work.stored.len(), work.to_embed.len(), run.resumed);
    work.afford(&context.meter, &*context.embedder, &plan)?;
    let to_embed = std::mem::take(&mut work.to_embed);
    let all = to_embed.len();
    let (rows, embed_text) = (&plan.rows, &plan.embed_text);
    let text_of = |position: &usize| embed_text.render(&rows[*position].document);
    let embedded = run.embed(to_embed, text_of, all).await?;
    let arrived = embedded.stored.into_iter().map(|input| (input, None));
    work.stored.extend(arrived);
    let rejected = embedded.rejected;
    report.seconds.embed = started.elapsed().as_secs_f64();

    let started = Instant::now();
    if !rejected.is_empty() {
        leave_out(&mut plan, &rejected, report);
        if plan.mode == SyncMode::Forced {
            // Readers keep the complete old version until the new one is complete too.
            return Ok(());
        }
    }
    let Target::Known(space) = &run.target else {
        // Nothing was embedded and nothing was known: every text was refused.
        return Ok(());
    };
    let spec = VersionSpec {
        space: space.id.clone(),
        embed_text: plan.embed_text.clone(),
    };
    run.fills(&spec.id());
    let changes = change_set(context, plan, spec, &work.stored).await?;
    context
        .progress
        .applying(changes.upserts.len() + changes.binds.len() + changes.deletes.len());
    let applied = context
        .store
        .apply(changes)
        .await
        .map_err(SyncError::of_apply)?;
    report.generation = applied.collection;
    report.applied = true;
    report.seconds.store = started.elapsed().as_secs_f64();
    tracing::info!(
        generation = applied.store.0,
        embedded = run.embedded,
        reused = report.reused,
        requests = run.requests,
        "applied"
    );
    Ok(())
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

async fn change_set(
    context: &SyncContext<'_>,
    plan: SyncPlan,
    spec: VersionSpec,
    stored: &BTreeMap<InputHash, Option<ContentHash>>,
) -> Result<ChangeSet, SyncError> {
    let mut kept = companion::Kept::of(context.store, &plan, &spec).await?;
    let version = spec.id();
    let rebound = plan.count(|change| *change == Change::Rebound);
    let mut deletes = plan.deletes;
    let taken_over = plan.taken_over;
    // Exactly as large as they become: growing would hold the rows twice for a moment.
    let mut upserts = Vec::with_capacity(plan.rows.len() - rebound);
    let mut binds = Vec::with_capacity(rebound);
    for (position, row) in plan.rows.into_iter().enumerate() {
        let PlannedRow {
            document,
            input,
            vector,
            change,
        } = row;
        let vector = match vector {
            Some(vector) => *vector,
            None => {
                let variant = *stored.get(&input).ok_or_else(|| {
                    let message = format!("no vector arrived for {}", document.key.document);
                    SyncError::new(SyncErrorKind::Store(StoreErrorKind::Internal), message)
                })?;
                VectorKey {
                    space: spec.space.clone(),
                    input,
                    variant,
                }
            }
        };
        let binding = Binding {
            version: version.clone(),
            vector,
        };
        if change == Change::Rebound {
            binds.push((document.key, binding));
            continue;
        }
        if let Change::Renamed { from } = change {
            deletes.push(*from);
        }
        // A row changes hands by going and coming back, in one transaction.
        if taken_over.contains(&document.key) {
            deletes.push(document.key.clone());
        }
        let mut bindings = kept.take(position);
        // Room for one more and no other: a first sync holds a hundred thousand of these.
        bindings.reserve_exact(1);
        bindings.push(binding);
        upserts.push(Row::new(document, bindings));
    }
    Ok(ChangeSet {
        collection: plan.collection,
        base: plan.base,
        source: Some(plan.source),
        upserts,
        deletes,
        relocations: plan.relocations,
        binds,
        register: Some(spec),
        complete: None,
        activate: plan.activate.then_some(version),
        undo: UndoPolicy::Forget,
        run: context.run.clone(),
        applied_at: (context.clock)(),
    })
}
