//! A collection in memory, for many questions.

mod best;
mod bytes;
mod drift;
mod matrix;
mod packed;
mod select;
#[cfg(test)]
mod tests;

use std::ops::Range;

use futures_util::TryStreamExt;
use ndarray::ArrayView2;
use storage_core::{
    CollectionName, Document, DocumentKey, Embedding, EmbeddingStore, Filter, Generation, Result,
    SourceId, StoreErrorKind, VersionId,
};

pub use self::drift::Drift;

use self::best::Best;
use self::matrix::Matrix;
use self::packed::{Packed, Parts};
use self::select::Selected;
use crate::kernel::{ABREAST, UnitQuery, dots_of_rows};
use crate::search::{Hit, SearchOptions, Searched, check_dimensions};

/// Rows that are scored before the best of them are looked for: with 1024 numbers each, they fit into a processor's own
/// cache, so that a further group of questions finds them there.
const BLOCK: usize = 64;

/// Immutable: rows × dimensions as they were stored, the documents in the same order, all from one generation. Positions
/// count from 0, in key order.
#[derive(Debug)]
pub struct SearchIndex {
    collection: CollectionName,
    version: Option<VersionId>,
    generation: Generation,
    store_generation: Generation,
    matrix: Matrix,
    packed: Packed,
}

/// One row of an index, undecoded where that spares copying.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    index: &'a SearchIndex,
    position: usize,
}

/// The rows of one document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexedDocument<'a> {
    /// Its id.
    pub id: &'a str,
    /// The positions of its rows.
    pub rows: Range<usize>,
}

impl SearchIndex {
    /// Reads a collection in one of its versions, the active one if none is named. A collection that the store does not
    /// have is empty.
    ///
    /// # Errors
    /// Those of [`EmbeddingStore::scan`]; `Unavailable` where there is no memory.
    pub async fn load(
        store: &dyn EmbeddingStore,
        collection: &CollectionName,
        version: Option<&VersionId>,
    ) -> Result<Self> {
        const TRIES: usize = 5;
        let mut tries = 1;
        loop {
            match Self::load_once(store, collection, version).await {
                Err(error) if tries < TRIES && may_pass(error.kind(), version.is_none()) => {
                    tracing::debug!(%error, "reading the collection again");
                    tries += 1;
                }
                loaded => return loaded,
            }
        }
    }

    async fn load_once(
        store: &dyn EmbeddingStore,
        collection: &CollectionName,
        version: Option<&VersionId>,
    ) -> Result<Self> {
        // Asked for first, so that rows are never older than the generation that the index bears.
        let status = store.status().await?;
        let found = status.collection(collection);
        let version = version
            .or_else(|| found.and_then(|found| found.active.as_ref()))
            .cloned();
        let space = found
            .zip(version.as_ref())
            .and_then(|(found, version)| found.version(version))
            .and_then(|version| status.space(&version.space));
        let dimensions = space.map_or(0, |space| space.model.dimensions.get() as usize);
        let rows = found
            .and_then(|found| usize::try_from(found.records).ok())
            .unwrap_or_default();
        let mut index = Self {
            collection: collection.clone(),
            generation: found.map_or(Generation::default(), |found| found.generation),
            store_generation: status.generation,
            matrix: Matrix::with_room(rows, dimensions)?,
            packed: Packed::with_room(rows),
            version,
        };
        let mut rows = store.scan(collection, index.version.as_ref(), Filter::default());
        while let Some(record) = rows.try_next().await? {
            index.matrix.push(record.embedding.as_slice())?;
            index.packed.push(&record.document)?;
        }
        index.packed.finish();
        Ok(index)
    }

    /// The collection.
    #[must_use]
    pub fn collection(&self) -> &CollectionName {
        &self.collection
    }

    /// The version whose vectors these are; `None` for a collection that was empty.
    #[must_use]
    pub fn version(&self) -> Option<&VersionId> {
        self.version.as_ref()
    }

    /// The collection's generation that the rows are of, or an older one where it rose while they were read.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// The same of the whole store: what [`storage_core::StoreStatus::generation`] was.
    #[must_use]
    pub fn store_generation(&self) -> Generation {
        self.store_generation
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.packed.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many documents there are.
    #[must_use]
    pub fn document_count(&self) -> usize {
        self.packed.documents()
    }

    /// Numbers per row.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.matrix.dimensions()
    }

    /// Bytes of memory: of the vectors, and of everything else.
    #[must_use]
    pub fn bytes(&self) -> (usize, usize) {
        (
            size_of_val(self.matrix.numbers()),
            size_of_val(self.matrix.inverse_norms()) + self.packed.size(),
        )
    }

    /// Rows × dimensions.
    #[must_use]
    pub fn vectors(&self) -> ArrayView2<'_, f32> {
        let shape = (self.len(), self.dimensions());
        ArrayView2::from_shape(shape, self.matrix.numbers())
            .unwrap_or_else(|_| ArrayView2::from(&[[0f32; 0]; 0]))
    }

    /// The numbers of a row.
    #[must_use]
    pub fn vector(&self, position: usize) -> Option<&[f32]> {
        self.matrix.row(position)
    }

    /// The row at a position.
    #[must_use]
    pub fn entry(&self, position: usize) -> Option<Entry<'_>> {
        (position < self.len()).then_some(Entry {
            index: self,
            position,
        })
    }

    /// The rows, in key order.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = Entry<'_>> + Clone {
        (0..self.len()).map(|position| Entry {
            index: self,
            position,
        })
    }

    /// The documents with the positions of their rows, in the order of their ids.
    pub fn documents(&self) -> impl ExactSizeIterator<Item = IndexedDocument<'_>> + Clone {
        (0..self.packed.documents()).map(|ordinal| IndexedDocument {
            id: self.packed.id(ordinal),
            rows: self.packed.rows_of(ordinal),
        })
    }

    /// The positions of a document's rows; none for one that is not there.
    #[must_use]
    pub fn rows_of(&self, document: &str) -> Range<usize> {
        let ordinal = self.packed.ordinal(document);
        ordinal.map_or(0..0, |ordinal| self.packed.rows_of(ordinal))
    }

    /// Where a row stands.
    #[must_use]
    pub fn position(&self, key: &DocumentKey) -> Option<usize> {
        let rows = self.rows_of(&key.document);
        let at = rows
            .clone()
            .map(|row| self.packed.chunk(row))
            .collect::<Vec<_>>()
            .binary_search(&key.chunk)
            .ok()?;
        (key.collection == self.collection).then_some(rows.start + at)
    }

    /// The row of that key.
    #[must_use]
    pub fn get(&self, key: &DocumentKey) -> Option<Document> {
        self.document(self.position(key)?)
    }

    /// The row at a position, decoded.
    #[must_use]
    pub fn document(&self, position: usize) -> Option<Document> {
        self.packed.document(&self.collection, position, Parts::ALL)
    }

    fn key(&self, position: usize) -> Option<DocumentKey> {
        Some(self.entry(position)?.key())
    }

    /// Finds the best documents. Pure: no lock, no I/O.
    ///
    /// # Errors
    /// `Model` when the question's vector has another length than the rows.
    pub fn search(&self, query: &Embedding, options: &SearchOptions) -> Result<Searched> {
        let unit = UnitQuery::new(query);
        self.check(&unit)?;
        let selected = self.select(&options.filter);
        let mut best = [Best::new(options.top_k, options.threshold)];
        self.score([&unit], &selected, &mut best);
        let [best] = best;
        Ok(self.searched(best, selected.len()))
    }

    /// Answers several questions in one pass over the rows, each exactly as [`search`](Self::search) does: the memory that
    /// holds the rows is what limits a single question.
    #[must_use]
    pub fn search_many(&self, queries: &[(Embedding, SearchOptions)]) -> Vec<Result<Searched>> {
        let mut answers: Vec<Option<Result<Searched>>> = queries.iter().map(|_| None).collect();
        let mut waiting = Vec::with_capacity(queries.len());
        for (number, (query, options)) in queries.iter().enumerate() {
            let unit = UnitQuery::new(query);
            match self.check(&unit) {
                Ok(()) => waiting.push((number, unit, options)),
                Err(error) => answers[number] = Some(Err(error)),
            }
        }
        while let Some((_, _, first)) = waiting.first() {
            // Questions that ask the same rows go together.
            let filter = &first.filter;
            let (group, rest): (Vec<_>, Vec<_>) = waiting
                .into_iter()
                .partition(|(_, _, options)| options.filter == *filter);
            waiting = rest;
            let selected = self.select(filter);
            let units: Vec<&UnitQuery> = group.iter().map(|(_, unit, _)| unit).collect();
            let best = group
                .iter()
                .map(|(_, _, options)| Best::new(options.top_k, options.threshold));
            let best = self.score_all(&units, &selected, best.collect());
            for ((number, ..), best) in group.iter().zip(best) {
                answers[*number] = Some(Ok(self.searched(best, selected.len())));
            }
        }
        // Every question is in one group or has failed.
        answers.into_iter().flatten().collect()
    }

    fn check(&self, unit: &UnitQuery) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        check_dimensions(unit, self.dimensions())
    }

    /// Scores any number of questions, a block of rows at a time.
    fn score_all(
        &self,
        units: &[&UnitQuery],
        selected: &Selected,
        mut best: Vec<Best>,
    ) -> Vec<Best> {
        let mut rows = [0; BLOCK];
        for from in (0..selected.len()).step_by(BLOCK) {
            let count = selected.fill(from, &mut rows);
            let rows = &rows[..count];
            let (groups, rest) = units.as_chunks::<ABREAST>();
            let (best_groups, best_rest) = best.as_chunks_mut::<ABREAST>();
            for (group, best) in groups.iter().zip(best_groups) {
                self.score_block(*group, rows, best);
            }
            let (pairs, rest) = rest.as_chunks::<2>();
            let (best_pairs, best_rest) = best_rest.as_chunks_mut::<2>();
            for (pair, best) in pairs.iter().zip(best_pairs) {
                self.score_block(*pair, rows, best);
            }
            for (unit, best) in rest.iter().zip(best_rest) {
                self.score_block([unit], rows, std::array::from_mut(best));
            }
        }
        best
    }

    fn score<const Q: usize>(
        &self,
        units: [&UnitQuery; Q],
        selected: &Selected,
        best: &mut [Best; Q],
    ) {
        let mut rows = [0; BLOCK];
        for from in (0..selected.len()).step_by(BLOCK) {
            let count = selected.fill(from, &mut rows);
            self.score_block(units, &rows[..count], best);
        }
    }

    fn score_block<const Q: usize>(
        &self,
        units: [&UnitQuery; Q],
        rows: &[u32],
        best: &mut [Best; Q],
    ) {
        let mut dots = [[0f32; Q]; BLOCK];
        let dots = &mut dots[..rows.len()];
        dots_of_rows(units, self.matrix.numbers(), rows, dots);
        let inverse_norms = self.matrix.inverse_norms();
        for (row, dots) in rows.iter().zip(dots) {
            let inverse = inverse_norms[*row as usize];
            for (best, dot) in best.iter_mut().zip(dots) {
                best.offer(*dot * inverse, *row, |row| self.packed.document_of(row));
            }
        }
    }

    fn searched(&self, best: Best, scanned: usize) -> Searched {
        let hits = best.into_sorted().into_iter();
        Searched {
            hits: hits
                .filter_map(|(score, row)| {
                    let document = self.document(row)?;
                    Some(Hit { score, document })
                })
                .collect(),
            scanned,
        }
    }
}

/// Whether what kept a load from its end was the moment: the store was written to, or the version that was served when it
/// began has been deleted since.
fn may_pass(kind: StoreErrorKind, is_served: bool) -> bool {
    kind == StoreErrorKind::Busy || is_served && kind == StoreErrorKind::Model
}

impl<'a> Entry<'a> {
    /// Where it stands.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }

    /// Its document's id.
    #[must_use]
    pub fn document_id(&self) -> &'a str {
        let packed = &self.index.packed;
        packed.id(packed.document_of(self.position))
    }

    /// Its chunk.
    #[must_use]
    pub fn chunk(&self) -> u32 {
        self.index.packed.chunk(self.position)
    }

    /// Its name.
    #[must_use]
    pub fn key(&self) -> DocumentKey {
        DocumentKey {
            collection: self.index.collection.clone(),
            document: self.document_id().to_owned(),
            chunk: self.chunk(),
        }
    }

    /// The source that owns it.
    #[must_use]
    pub fn source(&self) -> Option<&'a SourceId> {
        self.index.packed.source_of(self.position)
    }

    /// Its category.
    #[must_use]
    pub fn category(&self) -> Option<&'a str> {
        self.index.packed.category_of(self.position)
    }

    /// Its category within the category.
    #[must_use]
    pub fn subcategory(&self) -> Option<&'a str> {
        let packed = &self.index.packed;
        packed.subcategory(&packed.fields(self.position)?)
    }

    /// The question of a FAQ entry, the heading of a chunk.
    #[must_use]
    pub fn title(&self) -> &'a str {
        let fields = self.index.packed.fields(self.position);
        fields.map_or("", |fields| fields.title)
    }

    /// The answer of a FAQ entry, the text of a chunk.
    #[must_use]
    pub fn body(&self) -> &'a str {
        let fields = self.index.packed.fields(self.position);
        fields.map_or("", |fields| fields.body)
    }

    /// Everything, decoded.
    #[must_use]
    pub fn decode(&self) -> Option<Document> {
        self.index.document(self.position)
    }
}
