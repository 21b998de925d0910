//! What an index and the store it was read from do not agree on.

use std::cmp::Ordering;

use futures_util::TryStreamExt;
use storage_core::{
    DocumentKey, EmbeddingRecord, EmbeddingStore, Filter, Fingerprint, RecordHash, Result,
};

use super::SearchIndex;

/// Rows that an index and a store do not agree on, in key order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Drift {
    /// In the store, and not in the index.
    pub missing: Vec<DocumentKey>,
    /// In the index, and no longer in the store.
    pub ghosts: Vec<DocumentKey>,
    /// In both, and not alike.
    pub stale: Vec<DocumentKey>,
}

impl Drift {
    /// Whether both agree on every row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// How many rows they do not agree on.
    #[must_use]
    pub fn len(&self) -> usize {
        self.missing.len() + self.ghosts.len() + self.stale.len()
    }
}

/// Walks along an index while a store tells its rows, both in key order.
struct Walk<'a> {
    index: &'a SearchIndex,
    next: usize,
    drift: Drift,
}

impl Walk<'_> {
    /// A row of the store; `is_alike` compares it with the index's row of that key.
    fn meet(&mut self, key: &DocumentKey, is_alike: impl FnOnce(usize) -> bool) {
        while self.next < self.index.len() {
            let packed = &self.index.packed;
            let id = packed.id(packed.document_of(self.next));
            let own = (id, packed.chunk(self.next));
            match own.cmp(&(key.document.as_str(), key.chunk)) {
                Ordering::Less => self.ghost(),
                Ordering::Equal => {
                    if !is_alike(self.next) {
                        self.drift.stale.push(key.clone());
                    }
                    self.next += 1;
                    return;
                }
                Ordering::Greater => break,
            }
        }
        self.drift.missing.push(key.clone());
    }

    fn ghost(&mut self) {
        self.drift.ghosts.extend(self.index.key(self.next));
        self.next += 1;
    }

    fn end(mut self) -> Drift {
        while self.next < self.index.len() {
            self.ghost();
        }
        self.drift
    }
}

impl SearchIndex {
    fn walk(&self) -> Walk<'_> {
        Walk {
            index: self,
            next: 0,
            drift: Drift::default(),
        }
    }

    /// Compares the texts of every row with what the store remembers of them, as
    /// [`EmbeddingStore::fingerprints`] tells it. Reads no text and no vector from the store.
    #[must_use]
    pub fn drift(&self, stored: &[Fingerprint]) -> Drift {
        let mut walk = self.walk();
        for fingerprint in stored {
            walk.meet(&fingerprint.key, |row| {
                self.document(row)
                    .is_some_and(|own| RecordHash::of(&own) == fingerprint.record)
            });
        }
        walk.end()
    }

    /// Compares every row with the store's, texts, places and vectors, bit by bit. Reads all of the store's version
    /// that this index is of, in bounded memory.
    ///
    /// # Errors
    /// Those of [`EmbeddingStore::scan`].
    pub async fn compare(&self, store: &dyn EmbeddingStore) -> Result<Drift> {
        let mut rows = store.scan(&self.collection, self.version.as_ref(), Filter::default());
        let mut walk = self.walk();
        while let Some(record) = rows.try_next().await? {
            walk.meet(&record.document.key, |row| self.is_alike(row, &record));
        }
        Ok(walk.end())
    }

    fn is_alike(&self, row: usize, record: &EmbeddingRecord) -> bool {
        let stored = record.embedding.as_slice();
        self.vector(row).is_some_and(|own| {
            own.len() == stored.len()
                && own
                    .iter()
                    .zip(stored)
                    .all(|(own, stored)| own.to_bits() == stored.to_bits())
        }) && self.document(row).is_some_and(|own| own == record.document)
    }
}
