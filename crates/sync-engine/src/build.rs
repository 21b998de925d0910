//! Versions beside the one that is served: filled row by row while readers go on with the old one, and switched to by
//! one pointer.

mod missing;
mod report;

use std::time::Instant;

use storage_core::{
    ChangeSet, CollectionName, CollectionStatus, EmbedText, Generation, RunKind, StoreErrorKind,
    StoreStatus, UndoPolicy, Version, VersionId, VersionSpec, VersionState,
};

use crate::estimate::Estimate;
use crate::execute::{SyncContext, forced};
use crate::run::Run;
use crate::work::afford;
use crate::{SyncError, SyncErrorKind, Target};
use missing::{Missing, read_texts};
pub use report::{BuildPlan, BuildReport};

/// Rows whose texts are in memory at once.
const PAGE: usize = 1024;

/// How often the rows may change under a build before it gives up: each time costs a look at what is new, no more.
const ATTEMPTS: usize = 50;

/// Which version to build: the embedder's model, by this recipe.
#[derive(Debug, Clone, Default)]
pub struct BuildOptions {
    /// The recipe; `None` takes that of the version that is served.
    pub embed_text: Option<EmbedText>,
    /// Pay for everything anew, though vectors of the same model are stored.
    pub force_recompute: bool,
    /// This version and no other: its model and its recipe, which the embedder must be of.
    pub version: Option<VersionId>,
}

/// What a build would do; writes nothing.
///
/// # Errors
/// `Model` for a collection without rows; the store's own.
pub async fn prepare_build(
    context: &SyncContext<'_>,
    collection: &CollectionName,
    options: &BuildOptions,
) -> Result<BuildPlan, SyncError> {
    let status = context.store.status().await?;
    let (target, embed_text) = choose(context, &status, collection, options).await?;
    let version = version_of(&target, &embed_text);
    let missing = Missing::of(context, collection, &target, &embed_text).await?;
    let found = status.collection(collection);
    let mut texts = Vec::with_capacity(missing.to_embed.len());
    for page in missing.to_embed.chunks(PAGE) {
        let page = read_texts(context, &embed_text, page).await?;
        texts.extend(page.into_iter().map(|(_, text)| text));
    }
    Ok(BuildPlan {
        collection: collection.clone(),
        base: missing.generation,
        active: version.is_some() && found.is_some_and(|found| found.active == version),
        records: found.map_or(0, |found| found.records),
        rows: missing.rows.len(),
        estimate: Estimate::of(context, &target, texts.into_iter()).await?,
        reused: missing.reused(),
        failed: missing.failed,
        target,
        embed_text,
        version,
    })
}

/// Embeds every row of a collection under another model or recipe, beside the version that is served.
///
/// Each batch is durable as it is answered; a run that is cut off is gone on with by the next one, which pays for
/// nothing twice. Syncs that come between are taken in before the version is called complete.
///
/// # Errors
/// `Model` for a collection without rows; `Budget`, `Stopped` and the provider's and the store's own, with what was
/// saved.
#[tracing::instrument(name = "build", skip_all, fields(collection = %collection, run = %context.run))]
pub async fn build(
    context: &SyncContext<'_>,
    collection: &CollectionName,
    options: &BuildOptions,
) -> Result<BuildReport, SyncError> {
    let status = context.store.status().await?;
    let (target, embed_text) = choose(context, &status, collection, options).await?;
    let version = version_of(&target, &embed_text);
    if let (Some(found), Some(id)) = (status.collection(collection), version)
        && let Some(version) = found.version(&id)
        && version.state != VersionState::Building
        && version.records == found.records
    {
        return Ok(BuildReport {
            model: target.model().cloned(),
            ..BuildReport::nothing(found, &id)
        });
    }
    let end = End::Complete;
    fill(context, collection, target, embed_text, end).await
}

/// Serves another version of a collection, in one transaction; rows that were edited since it was complete get their
/// vectors first.
///
/// # Errors
/// `Version` when there is no such version or it was never complete, and when a row cannot be embedded; `Model` when
/// rows need vectors and the embedder is of another model; otherwise as [`build`].
#[tracing::instrument(name = "switch", skip_all, fields(collection = %collection, run = %context.run))]
pub async fn switch(
    context: &SyncContext<'_>,
    collection: &CollectionName,
    to: &VersionId,
) -> Result<BuildReport, SyncError> {
    let status = context.store.status().await?;
    let (found, version) = find(&status, collection, to)?;
    require_finished(collection, version)?;
    let embed_text = recipe(collection, version)?;
    if found.active.as_ref() == Some(to) {
        return Ok(BuildReport::nothing(found, to));
    }
    if version.records == found.records {
        return flip(context, collection, found, to).await;
    }
    let space = status.space(&version.space).cloned().ok_or_else(|| {
        SyncError::new(
            SyncErrorKind::Store(StoreErrorKind::Corrupt),
            format!("version {} has lost its vector space", to.short()),
        )
    })?;
    if !context.embedder.spec().is(&space.model) {
        return Err(SyncError::new(
            SyncErrorKind::Model,
            format!(
                "{} rows were edited since version {} was complete, and need its model {}, where the embedder is {}; \
                 choose it (EMBEDDING_PROVIDER, EMBEDDING_MODEL_NAME)",
                found.records - version.records,
                to.short(),
                space.model,
                context.embedder.spec().name,
            ),
        ));
    }
    let end = End::Serve(to.clone());
    let report = fill(context, collection, Target::Known(space), embed_text, end).await?;
    if report.complete {
        return Ok(report);
    }
    Err(SyncError::new(
        SyncErrorKind::Version,
        format!(
            "version {} cannot serve: {} rows have no vector in it, such as {}: {}",
            to.short(),
            report.failed.len(),
            report
                .failed
                .first()
                .map_or("?", |row| row.id.as_deref().unwrap_or("?")),
            report.failed.first().map_or("", |row| &row.reason),
        ),
    ))
}

/// Rows of a version that were edited since it was complete.
///
/// # Errors
/// `Version` when there is no such version.
pub fn stale_rows(
    status: &StoreStatus,
    collection: &CollectionName,
    version: &VersionId,
) -> Result<u64, SyncError> {
    let (found, version) = find(status, collection, version)?;
    Ok(found.records.saturating_sub(version.records))
}

/// Refuses a version that was never complete.
///
/// # Errors
/// `Version`, with the remedy.
pub fn require_finished(collection: &CollectionName, version: &Version) -> Result<(), SyncError> {
    if version.state != VersionState::Building {
        return Ok(());
    }
    Err(SyncError::new(
        SyncErrorKind::Version,
        format!(
            "version {} of collection {collection} is not finished: {} rows have a vector in it; finish it with \
             `smart-support model build {}`",
            version.id.short(),
            version.records,
            version.id.short()
        ),
    ))
}

/// Moves the pointer and nothing else.
async fn flip(
    context: &SyncContext<'_>,
    collection: &CollectionName,
    found: &CollectionStatus,
    to: &VersionId,
) -> Result<BuildReport, SyncError> {
    let started = Instant::now();
    let mut changes = empty(context, collection, found.generation);
    changes.activate = Some(to.clone());
    let applied = context.store.apply(changes).await;
    let applied = applied.map_err(SyncError::of_apply)?;
    let mut report = BuildReport::nothing(found, to);
    report.generation = applied.collection;
    report.seconds.store = started.elapsed().as_secs_f64();
    Ok(report)
}

/// What happens when every row has its vector.
enum End {
    /// The version is ready.
    Complete,
    /// It is served.
    Serve(VersionId),
}

async fn fill(
    context: &SyncContext<'_>,
    collection: &CollectionName,
    target: Target,
    embed_text: EmbedText,
    end: End,
) -> Result<BuildReport, SyncError> {
    let mut run = Run::start(context, collection, RunKind::Recompute, target).await?;
    let mut report = BuildReport::empty();
    let outcome = work(
        context,
        collection,
        &mut run,
        &embed_text,
        &end,
        &mut report,
    )
    .await;
    report.embedded = run.embedded;
    report.requests = run.requests;
    report.tokens = run.tokens;
    report.model = run.target.model().cloned();
    run.finish(outcome).await?;
    Ok(report)
}

async fn work(
    context: &SyncContext<'_>,
    collection: &CollectionName,
    run: &mut Run<'_>,
    embed_text: &EmbedText,
    end: &End,
    report: &mut BuildReport,
) -> Result<(), SyncError> {
    for attempt in 1.. {
        let started = Instant::now();
        let mut missing = Missing::of(context, collection, &run.target, embed_text).await?;
        if attempt == 1 {
            report.reused = missing.reused();
            let to_embed = missing.to_embed.len();
            context
                .progress
                .embedding(report.reused, to_embed, run.resumed);
            afford(&context.meter, to_embed, missing.tokens, "")?;
        }
        report.seconds.plan += started.elapsed().as_secs_f64();
        missing.require_a_text(context, embed_text).await?;
        let started = Instant::now();
        missing.embed(context, run, embed_text).await?;
        report.seconds.embed += started.elapsed().as_secs_f64();
        let Target::Known(space) = &run.target else {
            report.failed = missing.failed;
            return Ok(());
        };
        let spec = VersionSpec {
            space: space.id.clone(),
            embed_text: embed_text.clone(),
        };
        let version = spec.id();
        let started = Instant::now();
        let mut changes = empty(context, collection, missing.generation);
        changes.binds = missing.bindings(&version, &spec);
        changes.register = Some(spec);
        report.version = Some(version.clone());
        report.complete = missing.failed.is_empty();
        if report.complete {
            match end {
                End::Complete => changes.complete = Some(version),
                End::Serve(version) => changes.activate = Some(version.clone()),
            }
        }
        let rows = changes.binds.len();
        report.rows += missing.bound;
        context.progress.applying(rows);
        match context.store.apply(changes).await {
            Ok(applied) => {
                report.rows += rows;
                report.generation = applied.collection;
                report.failed = missing.failed;
                report.seconds.store += started.elapsed().as_secs_f64();
                return Ok(());
            }
            // A sync came between: its rows are looked at next, and what is paid for stays so. Or somebody removed a
            // vector that nothing referred to yet: it is missing next time.
            Err(error) if can_look_again(error.kind()) && attempt < ATTEMPTS => {
                context.progress.conflict();
            }
            Err(error) => return Err(SyncError::of_apply(error)),
        }
    }
    Ok(())
}

fn can_look_again(kind: StoreErrorKind) -> bool {
    matches!(kind, StoreErrorKind::Conflict | StoreErrorKind::Model)
}

fn empty(context: &SyncContext<'_>, collection: &CollectionName, base: Generation) -> ChangeSet {
    ChangeSet {
        collection: collection.clone(),
        base,
        source: None,
        upserts: Vec::new(),
        deletes: Vec::new(),
        relocations: Vec::new(),
        binds: Vec::new(),
        register: None,
        complete: None,
        activate: None,
        undo: UndoPolicy::Forget,
        run: context.run.clone(),
        applied_at: (context.clock)(),
    }
}

fn version_of(target: &Target, embed_text: &EmbedText) -> Option<VersionId> {
    Some(VersionId::of(target.id()?, embed_text.as_str()))
}

/// The space and the recipe of the version to build: the one that was named, one of the collection's own that was begun
/// or fits, else the space that its model has anywhere in the store.
async fn choose(
    context: &SyncContext<'_>,
    status: &StoreStatus,
    collection: &CollectionName,
    options: &BuildOptions,
) -> Result<(Target, EmbedText), SyncError> {
    let found = status
        .collection(collection)
        .filter(|found| found.records > 0)
        .ok_or_else(|| {
            SyncError::new(
                SyncErrorKind::Version,
                format!(
                    "collection {collection} has no rows to build a version of; fill it with \
                     `smart-support migrate --faq-path FILE`"
                ),
            )
        })?;
    let embedder = &*context.embedder;
    if let Some(id) = &options.version {
        let (_, version) = find(status, collection, id)?;
        let target = status.space(&version.space).map_or_else(
            || Target::fresh(embedder, ""),
            |space| Target::Known(space.clone()),
        );
        return Ok((target, recipe(collection, version)?));
    }
    let own = match found.active_version() {
        Some(active) => recipe(collection, active)?,
        None => EmbedText::default(),
    };
    let embed_text = options.embed_text.clone().unwrap_or(own);
    if options.force_recompute {
        let target = forced(context, status, collection, &embed_text).await?;
        return Ok((target, embed_text));
    }
    let spec = embedder.spec();
    let of_model = |version: &&Version| {
        version.embed_text == embed_text.as_str()
            && status
                .space(&version.space)
                .is_some_and(|space| spec.is(&space.model))
    };
    let is_active = |version: &&&Version| found.active.as_ref() == Some(&version.id);
    let fitting: Vec<&Version> = found.versions.iter().filter(of_model).collect();
    let begun = fitting.iter().find(is_active).or(fitting.last());
    let target = match begun.and_then(|version| status.space(&version.space)) {
        Some(space) => Target::Known(space.clone()),
        None => match status.active(collection) {
            Some(active) if spec.is(&active.model) => Target::Known(active.clone()),
            _ => Target::shared(status, embedder),
        },
    };
    Ok((target, embed_text))
}

fn find<'s>(
    status: &'s StoreStatus,
    collection: &CollectionName,
    id: &VersionId,
) -> Result<(&'s CollectionStatus, &'s Version), SyncError> {
    status
        .collection(collection)
        .and_then(|found| Some((found, found.version(id)?)))
        .ok_or_else(|| {
            SyncError::new(
                SyncErrorKind::Version,
                format!("collection {collection} has no version {}", id.short()),
            )
        })
}

fn recipe(collection: &CollectionName, version: &Version) -> Result<EmbedText, SyncError> {
    EmbedText::parse(&version.embed_text).map_err(|error| {
        SyncError::new(
            SyncErrorKind::Store(StoreErrorKind::Corrupt),
            format!("collection {collection}: {error}"),
        )
    })
}
