//! The rows that a version lacks, from their texts to their vectors.

use std::collections::{BTreeMap, BTreeSet};

use storage_core::{
    Binding, CollectionName, ContentHash, Document, DocumentKey, EmbedText, Generation, InputHash,
    StoreErrorKind, VectorKey, VersionId, VersionSpec,
};

use super::{PAGE, empty, version_of};
use crate::estimate::estimated_tokens;
use crate::execute::SyncContext;
use crate::run::Run;
use crate::{FailedRow, SyncError, SyncErrorKind, Target};

/// The rows that a version lacks, and what is known of their texts.
pub(super) struct Missing {
    collection: CollectionName,
    pub(super) generation: Generation,
    pub(super) rows: Vec<(DocumentKey, InputHash)>,
    /// Text hash to the variant to refer to.
    stored: BTreeMap<InputHash, Option<ContentHash>>,
    /// Distinct texts without a vector, each with a row that has it.
    pub(super) to_embed: Vec<(InputHash, DocumentKey)>,
    pub(super) tokens: u64,
    pub(super) failed: Vec<FailedRow>,
    /// Rows that have their vector already.
    pub(super) bound: usize,
}

impl Missing {
    pub(super) async fn of(
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
            bound: 0,
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

    /// Refers the rows whose vectors have just come to them, so that they are seen to be there, and spared by whoever
    /// removes what nothing refers to. A conflict is met later, by the change that counts.
    async fn bind(
        &mut self,
        context: &SyncContext<'_>,
        run: &Run<'_>,
        embed_text: &EmbedText,
        arrived: &BTreeSet<InputHash>,
    ) -> Result<(), SyncError> {
        let Target::Known(space) = &run.target else {
            return Ok(());
        };
        let spec = VersionSpec {
            space: space.id.clone(),
            embed_text: embed_text.clone(),
        };
        let version = spec.id();
        let mut changes = empty(context, &self.collection, self.generation);
        let rows = std::mem::take(&mut self.rows);
        let (now, later): (Vec<_>, Vec<_>) = rows
            .into_iter()
            .partition(|(_, input)| arrived.contains(input));
        self.rows = now;
        changes.binds = self.bindings(&version, &spec);
        let bound = changes.binds.len();
        match context.store.apply(changes).await {
            Ok(applied) => {
                self.generation = applied.collection;
                self.bound += bound;
                self.rows = later;
            }
            Err(error) if super::can_look_again(error.kind()) => self.rows.extend(later),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Refuses a recipe that gives no text for any row before anything is written.
    pub(super) async fn require_a_text(
        &self,
        context: &SyncContext<'_>,
        embed_text: &EmbedText,
    ) -> Result<(), SyncError> {
        if !self.rows.is_empty() || self.failed.is_empty() {
            return Ok(());
        }
        let status = context.store.status().await?;
        let records = status
            .collection(&self.collection)
            .map_or(0, |found| found.records);
        if records > self.failed.len() as u64 {
            return Ok(());
        }
        Err(SyncError::new(
            SyncErrorKind::Selection,
            format!(
                "the recipe {:?} gives no text for any of {} rows; its fields are question, answer, category, \
                 subcategory, and the names of further columns",
                embed_text.as_str(),
                self.failed.len()
            ),
        ))
    }

    pub(super) fn reused(&self) -> usize {
        self.stored.len()
    }

    /// Pays for what has no vector, page by page.
    pub(super) async fn embed(
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
            let arrived: BTreeSet<InputHash> = embedded.stored.into_iter().collect();
            self.stored
                .extend(arrived.iter().map(|input| (*input, None)));
            rejected.extend(embedded.rejected);
            if !registered {
                registered = self.register(context, run, embed_text).await?;
            }
            if registered && !rest.is_empty() {
                self.bind(context, run, embed_text, &arrived).await?;
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

    pub(super) fn bindings(
        &self,
        version: &VersionId,
        spec: &VersionSpec,
    ) -> Vec<(DocumentKey, Binding)> {
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
pub(super) async fn read_texts(
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
