//! One search that a store makes by itself. What it finds is scored here, by the kernel of every other search.

use storage_core::{
    CollectionName, Embedding, FoundBy, Generation, NearestNeighbours, NearestQuery, Result,
    VersionId,
};

use crate::kernel::{UnitQuery, cosine};
use crate::search::{Hit, SearchOptions, Searched, check_dimensions};
use crate::top::TopHits;

/// What a store found by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchedInside {
    /// The hits; `scanned` counts the rows that the store sent.
    pub searched: Searched,
    /// The collection's generation that they are of.
    pub generation: Generation,
    /// How they were found.
    pub found_by: FoundBy,
}

/// Lets the store find the nearest rows of a collection in one of its versions, the active one if none is named.
///
/// # Errors
/// Those of [`NearestNeighbours::find`].
pub async fn search_inside(
    store: &dyn NearestNeighbours,
    collection: &CollectionName,
    version: Option<&VersionId>,
    query: &Embedding,
    options: &SearchOptions,
    exact: bool,
) -> Result<SearchedInside> {
    let asked = NearestQuery {
        collection: collection.clone(),
        version: version.cloned(),
        vector: query.clone(),
        top_k: options.top_k,
        filter: options.filter.clone(),
        one_in: None,
        exact,
        effort: None,
    };
    ask(store, &asked, options.threshold).await
}

/// Asks, and scores what comes.
pub(crate) async fn ask(
    store: &dyn NearestNeighbours,
    asked: &NearestQuery,
    threshold: Option<f32>,
) -> Result<SearchedInside> {
    let found = store.find(asked).await?;
    let unit = UnitQuery::new(&asked.vector);
    let mut top = TopHits::new(asked.top_k);
    let scanned = found.rows.len();
    for record in found.rows {
        let row = record.embedding.as_slice();
        check_dimensions(&unit, row.len())?;
        let score = cosine(&unit, row);
        if threshold.is_none_or(|threshold| score >= threshold) {
            let document = record.document;
            top.offer(score, &document.key.clone(), || document);
        }
    }
    let hits = top.into_sorted().into_iter();
    Ok(SearchedInside {
        searched: Searched {
            hits: hits
                .map(|(score, document)| Hit { score, document })
                .collect(),
            scanned,
        },
        generation: found.generation,
        found_by: found.found_by,
    })
}
