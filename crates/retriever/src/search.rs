//! One search over a store, row by row, in bounded memory.

use futures_util::TryStreamExt;
use storage_core::{
    CollectionName, Document, Embedding, EmbeddingStore, Filter, Result, StoreError,
    StoreErrorKind, VersionId,
};

use crate::kernel::{UnitQuery, cosine};
use crate::top::TopHits;

/// What a search takes.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchOptions {
    /// Documents to return at most.
    pub top_k: usize,
    /// Lowest cosine that counts; `None` takes all.
    pub threshold: Option<f32>,
    /// Rows that take part.
    pub filter: Filter,
}

/// One row found.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// Cosine of question and row, −1 to 1.
    pub score: f32,
    /// The row.
    pub document: Document,
}

/// What a search found, best first, and how many rows took part.
#[derive(Debug, Clone, PartialEq)]
pub struct Searched {
    /// The rows, one a document.
    pub hits: Vec<Hit>,
    /// Rows that passed the filter.
    pub scanned: usize,
}

/// Scores every row of a collection that passes the filter in one of its versions, the active one if none is named,
/// while the store reads it: nothing but the best rows is kept.
///
/// # Errors
/// Those of [`EmbeddingStore::scan`]; `Model` when the question's vector has another length than the rows.
pub async fn search_store(
    store: &dyn EmbeddingStore,
    collection: &CollectionName,
    version: Option<&VersionId>,
    query: &Embedding,
    options: &SearchOptions,
) -> Result<Searched> {
    let unit = UnitQuery::new(query);
    let mut top = TopHits::new(options.top_k);
    let mut scanned = 0;
    let mut rows = store.scan(collection, version, options.filter.clone());
    while let Some(record) = rows.try_next().await? {
        scanned += 1;
        let row = record.embedding.as_slice();
        check_dimensions(&unit, row.len())?;
        let score = cosine(&unit, row);
        if options.threshold.is_none_or(|threshold| score >= threshold) {
            let document = record.document;
            top.offer(score, &document.key.clone(), || document);
        }
    }
    let hits = top
        .into_sorted()
        .into_iter()
        .map(|(score, document)| Hit { score, document })
        .collect();
    Ok(Searched { hits, scanned })
}

pub(crate) fn check_dimensions(query: &UnitQuery, row: usize) -> Result<()> {
    if query.dimensions() == row {
        return Ok(());
    }
    Err(StoreError::new(
        StoreErrorKind::Model,
        "search",
        format!(
            "embedding dimension mismatch: the store has {row}, the question {}; ask with the model the store was \
             embedded with (`smart-support status` names it), and with --dimensions {row} where it shortens its \
             vectors",
            query.dimensions()
        ),
    ))
}
