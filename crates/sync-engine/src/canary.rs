//! A few texts whose vectors are known: asked again, they tell whether a provider still serves the model it did.

use std::collections::BTreeMap;

use embedder_client::Purpose;
use futures_util::TryStreamExt;
use storage_core::{
    Canaries, Canary, CollectionName, EmbedText, Embedding, EmbeddingSpace, Filter, Spend,
    StoreErrorKind, Timestamp,
};

use crate::execute::SyncContext;
use crate::{SyncError, SyncErrorKind};

/// Texts that are kept of each space: a handful tells models apart, and is one call.
pub(crate) const TEXTS: usize = 5;

/// How long a provider is believed to be the one it was.
const DAY: i64 = 24 * 60 * 60 * 1000;

/// Below this cosine it is another model. The same weights on other hardware, or in a batch of another size, stay above
/// 0.9999; the same model at four bits is at 0.98 to 0.99 (docs/evaluation.md), and another one far below.
pub const LEAST_COSINE: f64 = 0.995;

/// What the provider answered.
#[derive(Debug, Clone, PartialEq)]
pub struct CanaryReport {
    /// Texts that were asked.
    pub texts: usize,
    /// The least cosine between what is stored and what came; 0 where the length differs.
    pub least: f64,
    /// Numbers per vector that came.
    pub dimensions: u32,
    /// Whether the texts were taken from the collection's rows just now, since the space had none.
    pub taken: bool,
}

impl CanaryReport {
    /// Whether the provider is the one that it was.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.least >= LEAST_COSINE
    }

    pub(crate) fn refusal(&self, space: &EmbeddingSpace) -> Option<SyncError> {
        if self.is_ok() {
            return None;
        }
        let how = if self.dimensions == space.model.dimensions.get() {
            format!(
                "texts that it embedded before come out with a cosine of {:.4} to what is stored, where {LEAST_COSINE} \
                 is the least",
                self.least
            )
        } else {
            format!("its vectors have {} numbers now", self.dimensions)
        };
        Some(SyncError::new(
            SyncErrorKind::Model,
            format!(
                "provider {} serves another model under the name {}: {how}; nothing was written. Get the old model back, \
                 or embed everything with the new one beside it: `smart-support model build --force-recompute`",
                space.provider, space.model
            ),
        ))
    }
}

/// Whether it is time to look again.
pub(crate) fn is_due(canaries: &Canaries, now: Timestamp) -> bool {
    !canaries.texts.is_empty()
        && canaries
            .checked_at
            .is_none_or(|at| now.0.saturating_sub(at.0) > DAY)
}

/// Whether a space that was begun can be gone on with: what is known of its provider is fresh, or is asked for now.
pub(crate) async fn is_same(
    context: &SyncContext<'_>,
    space: &EmbeddingSpace,
) -> Result<bool, SyncError> {
    let canaries = context.store.canaries(&space.id).await?;
    let now = (context.clock)();
    if !is_due(&canaries, now) {
        return Ok(true);
    }
    let (seen, spend) = ask(context, space, &canaries.texts).await?;
    context.store.put_embeddings(&[], &spend, now).await?;
    if seen.is_ok() {
        context.store.record_canaries(&space.id, &[], now).await?;
    }
    Ok(seen.is_ok())
}

/// Asks the provider of the version that a collection serves whether it is the one it was, and remembers that it is. A
/// space without texts of its own takes some from the rows.
///
/// # Errors
/// `Model` when the collection serves nothing, or nothing with a text; what the provider and the store say otherwise.
/// That it is another model is no error but a [`CanaryReport`] that is not ok.
pub async fn check_provider(
    context: &SyncContext<'_>,
    collection: &CollectionName,
) -> Result<CanaryReport, SyncError> {
    let status = context.store.status().await?;
    let space = status.active(collection).ok_or_else(|| {
        SyncError::new(
            SyncErrorKind::Model,
            format!("collection {collection} serves nothing yet: there is no model to look at"),
        )
    })?;
    let mut texts = context.store.canaries(&space.id).await?.texts;
    let taken = texts.is_empty();
    if taken {
        let recipe = status
            .collection(collection)
            .and_then(|found| found.embed_text().transpose())
            .transpose()
            .map_err(|error| {
                SyncError::new(
                    SyncErrorKind::Store(StoreErrorKind::Corrupt),
                    error.to_string(),
                )
            })?
            .unwrap_or_default();
        texts = from_rows(context, collection, &recipe).await?;
    }
    let (mut report, spend) = ask(context, space, &texts).await?;
    report.taken = taken;
    let now = (context.clock)();
    context.store.put_embeddings(&[], &spend, now).await?;
    if report.is_ok() {
        let new = if taken { &texts[..] } else { &[] };
        context.store.record_canaries(&space.id, new, now).await?;
    }
    Ok(report)
}

async fn from_rows(
    context: &SyncContext<'_>,
    collection: &CollectionName,
    recipe: &EmbedText,
) -> Result<Vec<Canary>, SyncError> {
    let mut rows = context.store.scan(collection, None, Filter::default());
    let mut texts: BTreeMap<String, Embedding> = BTreeMap::new();
    while let Some(row) = rows.try_next().await? {
        let text = recipe.render(&row.document);
        if !text.is_empty() {
            texts.insert(text, row.embedding);
        }
        if texts.len() == TEXTS {
            break;
        }
    }
    if texts.is_empty() {
        return Err(SyncError::new(
            SyncErrorKind::Model,
            format!("no row of collection {collection} has a text to ask the provider about"),
        ));
    }
    let texts = texts.into_iter();
    Ok(texts
        .map(|(text, embedding)| Canary { text, embedding })
        .collect())
}

/// One call, whose price is to be written down by the caller.
pub(crate) async fn ask(
    context: &SyncContext<'_>,
    space: &EmbeddingSpace,
    texts: &[Canary],
) -> Result<(CanaryReport, Spend), SyncError> {
    let inputs: Vec<String> = texts.iter().map(|canary| canary.text.clone()).collect();
    let answer = context
        .embedder
        .embed(&inputs, Purpose::Passage, &context.meter)
        .await
        .map_err(|error| SyncError::embed(error, 0, 0))?;
    let spend = Spend {
        run: context.run.clone(),
        requests: u64::from(answer.requests),
        texts: 0,
        tokens: answer.tokens.unwrap_or_default(),
    };
    let mut report = CanaryReport {
        texts: texts.len(),
        least: 1.0,
        dimensions: space.model.dimensions.get(),
        taken: false,
    };
    for (canary, vector) in texts.iter().zip(&answer.vectors) {
        if vector.dimensions() != canary.embedding.dimensions() {
            report.dimensions = vector.dimensions();
        }
        report.least = report.least.min(cosine(&canary.embedding, vector));
    }
    Ok((report, spend))
}

/// Of two vectors; 0 for different lengths.
pub(crate) fn cosine(one: &Embedding, other: &Embedding) -> f64 {
    if one.dimensions() != other.dimensions() {
        return 0.0;
    }
    let (mut dot, mut a, mut b) = (0.0, 0.0, 0.0);
    for (x, y) in one.as_slice().iter().zip(other.as_slice()) {
        let (x, y) = (f64::from(*x), f64::from(*y));
        dot += x * y;
        a += x * x;
        b += y * y;
    }
    dot / (a.sqrt() * b.sqrt())
}
