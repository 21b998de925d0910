//! Versions beside the one that is served: filled row by row while readers go on with the old one, and switched to by
//! one pointer.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use storage_core::{
    Binding, ChangeSet, CollectionName, CollectionStatus, ContentHash, Document, DocumentKey,
    EmbedText, EmbeddingModel, Generation, InputHash, RunKind, StoreErrorKind, StoreStatus,
    VectorKey, Version, VersionId, VersionSpec, VersionState,
};

use crate::execute::SyncContext;
use crate::run::Run;
use crate::work::{afford, estimated_tokens};
use crate::{FailedRow, PhaseSeconds, SyncError, SyncErrorKind, Target};

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
}

/// What a build would do.
#[derive(Debug, Clone, PartialEq)]
pub struct BuildPlan {
    /// The collection.
    pub collection: CollectionName,
    /// Its generation the plan was made on.
    pub base: Generation,
    /// The space the vectors lie in.
    pub target: Target,
    /// The recipe.
    pub embed_text: EmbedText,
    /// The version, where it is known already: it may be half built, complete, or served.
    pub version: Option<VersionId>,
    /// Rows of the collection.
    pub records: u64,
    /// Rows that have no vector in the version yet.
    pub rows: usize,
    /// Distinct texts that must be embedded.
    pub to_embed: usize,
    /// Distinct texts that have a vector already.
    pub reused: usize,
    /// Texts to be embedded, each once: what an estimate is made of.
    pub texts: Vec<String>,
    /// Rows that the recipe gives no text for.
    pub failed: Vec<FailedRow>,
    /// Whether the collection serves this version already.
    pub active: bool,
}

/// What a build or a switch did.
#[derive(Debug, Clone, PartialEq)]
pub struct BuildReport {
    /// The version that was filled; `None` when every text was refused and its dimensions are unknown.
    pub version: Option<VersionId>,
    /// Its model.
    pub model: Option<EmbeddingModel>,
    /// Rows that got a vector.
    pub rows: usize,
    /// Texts sent and answered.
    pub embedded: usize,
    /// Texts that had a vector already.
    pub reused: usize,
    /// API calls, failed ones included.
    pub requests: u64,
    /// Tokens billed, where the provider says.
    pub tokens: u64,
    /// Rows that were left out; the version cannot serve while there are any.
    pub failed: Vec<FailedRow>,
    /// Whether every row has a vector in the version.
    pub complete: bool,
    /// The collection's generation afterwards.
    pub generation: Generation,
    /// Seconds.
    pub seconds: PhaseSeconds,
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
    let (target, embed_text) = choose(context, &status, collection, options)?;
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
        to_embed: missing.to_embed.len(),
        reused: missing.reused(),
        texts,
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
    let (target, embed_text) = choose(context, &status, collection, options)?;
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
             `smart-support model build`",
            version.id.short(),
            version.records
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
            afford(&context.meter, to_embed, missing.tokens)?;
        }
        report.seconds.plan += started.elapsed().as_secs_f64();
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
        context.progress.applying(rows);
        match context.store.apply(changes).await {
            Ok(applied) => {
                report.rows += rows;
                report.generation = applied.collection;
                report.failed = missing.failed;
                report.seconds.store += started.elapsed().as_secs_f64();
                return Ok(());
            }
            // A sync came between: its rows are looked at next, and what is paid for stays so.
            Err(error) if error.kind() == StoreErrorKind::Conflict && attempt < ATTEMPTS => {
                context.progress.conflict();
            }
            Err(error) => return Err(SyncError::of_apply(error)),
        }
    }
    Ok(())
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
        run: context.run.clone(),
        applied_at: (context.clock)(),
    }
}

/// The rows that a version lacks, and what is known of their texts.
struct Missing {
    collection: CollectionName,
    generation: Generation,
    rows: Vec<(DocumentKey, InputHash)>,
    /// Text hash to the variant to refer to.
    stored: BTreeMap<InputHash, Option<ContentHash>>,
    /// Distinct texts without a vector, each with a row that has it.
    to_embed: Vec<(InputHash, DocumentKey)>,
    tokens: u64,
    failed: Vec<FailedRow>,
}

impl Missing {
    async fn of(
        context: &SyncContext<'_>,
        collection: &CollectionName,
        target: &Target,
        embed_text: &EmbedText,
    ) -> Result<Self, SyncError> {
        let unknown = || VersionId::from_stored("");
        let version = version_of(target, embed_text).unwrap_or_else(unknown);
        let (generation, keys) = context.store.unbound(collection, &version).await?;
        let mut missing = Self {
            collection: collection.clone(),
            generation,
            rows: Vec::with_capacity(keys.len()),
            stored: BTreeMap::new(),
            to_embed: Vec::new(),
            tokens: 0,
            failed: Vec::new(),
        };
        let mut lengths: BTreeMap<InputHash, u64> = BTreeMap::new();
        for page in keys.chunks(PAGE) {
            for document in context.store.documents(page).await? {
                let text = embed_text.render(&document);
                if text.is_empty() {
                    missing.failed.push(without_text(document, embed_text));
                    continue;
                }
                let input = InputHash::of(&text);
                lengths.insert(input, text.len() as u64);
                missing.rows.push((document.key, input));
            }
        }
        if let Some(space) = target.id()
            && !lengths.is_empty()
        {
            let inputs: BTreeSet<InputHash> = lengths.keys().copied().collect();
            missing.stored = context.store.stored_vectors(space, &inputs).await?;
        }
        let mut seen = BTreeSet::new();
        for (key, input) in &missing.rows {
            if !missing.stored.contains_key(input) && seen.insert(*input) {
                missing.to_embed.push((*input, key.clone()));
                missing.tokens += estimated_tokens(lengths[input]);
            }
        }
        Ok(missing)
    }

    /// Makes the version known as soon as it can be named, so that others see that it is being built. A conflict is met
    /// later, by the change that counts.
    async fn register(
        &mut self,
        context: &SyncContext<'_>,
        run: &mut Run<'_>,
        embed_text: &EmbedText,
    ) -> Result<bool, SyncError> {
        let Target::Known(space) = &run.target else {
            return Ok(false);
        };
        let spec = VersionSpec {
            space: space.id.clone(),
            embed_text: embed_text.clone(),
        };
        let id = spec.id();
        run.fills(&id);
        let status = context.store.status().await?;
        let known = status
            .collection(&self.collection)
            .is_some_and(|found| found.version(&id).is_some());
        if known {
            return Ok(true);
        }
        let mut changes = empty(context, &self.collection, self.generation);
        changes.register = Some(spec);
        match context.store.apply(changes).await {
            Ok(applied) => self.generation = applied.collection,
            Err(error) if error.kind() == StoreErrorKind::Conflict => {}
            Err(error) => return Err(error.into()),
        }
        Ok(true)
    }

    fn reused(&self) -> usize {
        self.stored.len()
    }

    /// Pays for what has no vector, page by page.
    async fn embed(
        &mut self,
        context: &SyncContext<'_>,
        run: &mut Run<'_>,
        embed_text: &EmbedText,
    ) -> Result<(), SyncError> {
        let to_embed = std::mem::take(&mut self.to_embed);
        let all = to_embed.len();
        let batch = context.batch.texts.max(1);
        let mut rejected: BTreeMap<InputHash, String> = BTreeMap::new();
        let mut rest = &to_embed[..];
        let mut registered = self.register(context, run, embed_text).await?;
        while !rest.is_empty() {
            // Whole batches, so that a page's end costs no call of its own; and a single one while the version cannot be
            // named, since its dimensions are not known.
            let batches = if registered { PAGE / batch } else { 1 };
            let (page, after) = rest.split_at(rest.len().min(batch * batches.max(1)));
            rest = after;
            let texts = read_texts(context, embed_text, page).await?;
            let embedded = run.embed(texts, String::clone, all).await?;
            let arrived = embedded.stored.into_iter().map(|input| (input, None));
            self.stored.extend(arrived);
            rejected.extend(embedded.rejected);
            if !registered {
                registered = self.register(context, run, embed_text).await?;
            }
        }
        for (key, input) in &self.rows {
            if let Some(reason) = rejected.get(input) {
                self.failed.push(FailedRow {
                    id: Some(key.document.clone()),
                    locator: storage_core::Locator::default(),
                    column: None,
                    reason: reason.clone(),
                });
            }
        }
        Ok(())
    }

    fn bindings(&self, version: &VersionId, spec: &VersionSpec) -> Vec<(DocumentKey, Binding)> {
        let rows = self.rows.iter();
        rows.filter_map(|(key, input)| {
            let vector = VectorKey {
                space: spec.space.clone(),
                input: *input,
                variant: *self.stored.get(input)?,
            };
            let binding = Binding {
                version: version.clone(),
                vector,
            };
            Some((key.clone(), binding))
        })
        .collect()
    }
}

/// The texts of these rows, where they are still what they were.
async fn read_texts(
    context: &SyncContext<'_>,
    embed_text: &EmbedText,
    rows: &[(InputHash, DocumentKey)],
) -> Result<Vec<(InputHash, String)>, SyncError> {
    let keys: Vec<DocumentKey> = rows.iter().map(|(_, key)| key.clone()).collect();
    let wanted: BTreeSet<InputHash> = rows.iter().map(|(input, _)| *input).collect();
    let documents = context.store.documents(&keys).await?;
    Ok(documents
        .iter()
        .map(|document| embed_text.render(document))
        .map(|text| (InputHash::of(&text), text))
        .filter(|(input, _)| wanted.contains(input))
        .collect())
}

fn without_text(document: Document, embed_text: &EmbedText) -> FailedRow {
    FailedRow {
        id: Some(document.key.document),
        locator: document.locator,
        column: None,
        reason: format!(
            "the recipe {:?} gives no text for this row",
            embed_text.as_str()
        ),
    }
}

fn version_of(target: &Target, embed_text: &EmbedText) -> Option<VersionId> {
    Some(VersionId::of(target.id()?, embed_text.as_str()))
}

/// The space and the recipe of the version to build: one of the collection's own that was begun or fits, else the
/// space that its model has anywhere in the store.
fn choose(
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
                    "collection {collection} has no rows to build a version of; fill it with `smart-support migrate                      --faq-path FILE`"
                ),
            )
        })?;
    let own = match found.active_version() {
        Some(active) => recipe(collection, active)?,
        None => EmbedText::default(),
    };
    let embed_text = options.embed_text.clone().unwrap_or(own);
    let spec = context.embedder.spec();
    let of_model = |version: &&Version| {
        version.embed_text == embed_text.as_str()
            && status
                .space(&version.space)
                .is_some_and(|space| spec.is(&space.model))
    };
    let is_active = |version: &&Version| found.active.as_ref() == Some(&version.id);
    let mut fitting = found.versions.iter().filter(of_model);
    let begun = if options.force_recompute {
        fitting.find(|version| version.state == VersionState::Building)
    } else {
        let fitting: Vec<&Version> = fitting.collect();
        let active = fitting.iter().find(|version| is_active(version));
        active.or(fitting.last()).copied()
    };
    if let Some(space) = begun.and_then(|version| status.space(&version.space)) {
        return Ok((Target::Known(space.clone()), embed_text));
    }
    let embedder = &*context.embedder;
    let target = if options.force_recompute {
        Target::forced(status, embedder, context.run.as_str())
    } else if let Some(active) = status
        .active(collection)
        .filter(|space| spec.is(&space.model))
    {
        Target::Known(active.clone())
    } else {
        Target::shared(status, embedder)
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

impl BuildReport {
    fn empty() -> Self {
        Self {
            version: None,
            model: None,
            rows: 0,
            embedded: 0,
            reused: 0,
            requests: 0,
            tokens: 0,
            failed: Vec::new(),
            complete: false,
            generation: Generation::default(),
            seconds: PhaseSeconds::default(),
        }
    }

    fn nothing(found: &CollectionStatus, version: &VersionId) -> Self {
        Self {
            version: Some(version.clone()),
            complete: true,
            generation: found.generation,
            ..Self::empty()
        }
    }
}
