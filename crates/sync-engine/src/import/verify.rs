//! Reads back what was written, and compares it with what the source gave.

use std::collections::HashMap;

use futures_util::TryStreamExt;
use storage_core::{ContentHash, DocumentKey, EmbeddingStore, Filter, RecordHash};

use super::ImportOptions;
use super::aim::Aim;
use super::rows::Expected;
use crate::SyncError;

/// How many differences are named.
const NAMED: usize = 20;

/// What reading back found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verified {
    /// Rows that were compared, with their vectors: all of them.
    pub rows: u64,
    /// Rows that are missing, or differ in a field or in a bit of their vector.
    pub differing: u64,
    /// The first of them, and how.
    pub named: Vec<(String, &'static str)>,
}

impl Verified {
    fn differs(&mut self, document: &str, how: &'static str) {
        self.differing += 1;
        if self.named.len() < NAMED {
            self.named.push((document.to_owned(), how));
        }
    }
}

/// Compares every row and every vector. A hash of 256 bits stands for the bits: it was taken from the source's numbers,
/// and is taken again from the stored ones.
pub(super) async fn compare(
    store: &dyn EmbeddingStore,
    options: &ImportOptions,
    aim: &Aim,
    expected: &HashMap<DocumentKey, Expected>,
) -> Result<Verified, SyncError> {
    let mut found = Verified::default();
    if expected.is_empty() {
        return Ok(found);
    }
    let mut rows = store.scan(
        &options.collection,
        Some(&aim.version_id),
        Filter::default(),
    );
    while let Some(row) = rows.try_next().await? {
        let Some(wanted) = expected.get(&row.document.key) else {
            continue;
        };
        found.rows += 1;
        if ContentHash::of(&row.embedding.to_le_bytes()) != wanted.vector {
            found.differs(&row.document.key.document, "its vector is another one");
        } else if RecordHash::of(&row.document) != wanted.record {
            found.differs(&row.document.key.document, "its fields are others");
        }
    }
    let missing = (expected.len() as u64).saturating_sub(found.rows);
    if missing > 0 {
        found.differing += missing;
        found.named.push((
            format!("{missing} rows"),
            "they are not in the collection any longer",
        ));
    }
    Ok(found)
}
