//! A collection in memory, for many questions.

use futures_util::TryStreamExt;
use ndarray::{Array2, ArrayView2};
use storage_core::{
    CollectionName, Document, Embedding, EmbeddingStore, Filter, Result, StoreError,
    StoreErrorKind, VersionId,
};

use crate::kernel::{UnitQuery, cosine};
use crate::search::{Hit, SearchOptions, Searched, check_dimensions};
use crate::top::TopHits;

/// Immutable: rows × dimensions as they were stored, the documents in the same order, all from one generation.
#[derive(Debug, Clone, Default)]
pub struct SearchIndex {
    vectors: Array2<f32>,
    documents: Vec<Document>,
}

impl SearchIndex {
    /// Reads a collection in one of its versions, the active one if none is named.
    ///
    /// # Errors
    /// Those of [`EmbeddingStore::scan`].
    pub async fn load(
        store: &dyn EmbeddingStore,
        collection: &CollectionName,
        version: Option<&VersionId>,
    ) -> Result<Self> {
        let mut rows = store.scan(collection, version, Filter::default());
        let (mut numbers, mut documents) = (Vec::new(), Vec::new());
        let mut dimensions = 0;
        while let Some(record) = rows.try_next().await? {
            dimensions = record.embedding.as_slice().len();
            numbers.extend_from_slice(record.embedding.as_slice());
            documents.push(record.document);
        }
        let vectors =
            Array2::from_shape_vec((documents.len(), dimensions), numbers).map_err(|error| {
                StoreError::new(
                    StoreErrorKind::Corrupt,
                    "load",
                    "vectors of one version differ in length",
                )
                .with_source(error)
            })?;
        Ok(Self { vectors, documents })
    }

    /// Rows × dimensions.
    #[must_use]
    pub fn vectors(&self) -> ArrayView2<'_, f32> {
        self.vectors.view()
    }

    /// The rows' documents, in the rows' order.
    #[must_use]
    pub fn documents(&self) -> &[Document] {
        &self.documents
    }

    /// Finds the best documents. Pure: no lock, no I/O.
    ///
    /// # Errors
    /// `Model` when the question's vector has another length than the rows.
    pub fn search(&self, query: &Embedding, options: &SearchOptions) -> Result<Searched> {
        let unit = UnitQuery::new(query);
        if !self.documents.is_empty() {
            check_dimensions(&unit, self.vectors.ncols())?;
        }
        let everything = options.filter.is_empty();
        let mut top = TopHits::new(options.top_k);
        let mut scanned = 0;
        for (row, document) in self.vectors.rows().into_iter().zip(&self.documents) {
            let Some(row) = row
                .to_slice()
                .filter(|_| everything || options.filter.matches(document))
            else {
                continue;
            };
            scanned += 1;
            let score = cosine(&unit, row);
            if options.threshold.is_none_or(|threshold| score >= threshold) {
                top.offer(score, &document.key, || document);
            }
        }
        let hits = top.into_sorted().into_iter();
        Ok(Searched {
            hits: hits
                .map(|(score, document)| Hit {
                    score,
                    document: document.clone(),
                })
                .collect(),
            scanned,
        })
    }
}
