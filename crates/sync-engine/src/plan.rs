//! The plan: what one sync will do, decided before anything is written.

use storage_core::{
    CollectionName, Document, DocumentKey, EmbedText, Generation, InputHash, Relocation, Source,
    VectorKey,
};

use crate::{Companion, FailedRow, SyncMode, Target};

/// What becomes of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It was not there.
    Added,
    /// Its embedded text changed.
    Modified,
    /// It changed, but not in its embedded text: no call.
    Relabelled,
    /// It got another id and nothing else: no call.
    Renamed {
        /// The id it had.
        from: Box<DocumentKey>,
    },
    /// It stays as it is, and gets a vector in another version or by another recipe.
    Rebound,
}

/// A row that needs a reference to a vector. Small, because a first sync holds one for every row of its source: what is
/// large moves on behind its box, or is rare.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedRow {
    /// The row as it will be.
    pub document: Box<Document>,
    /// Hash of the text to embed.
    pub input: InputHash,
    /// The vector it has already, where the text and the version stay.
    pub vector: Option<Box<VectorKey>>,
    /// What becomes of it.
    pub change: Change,
}

/// What one sync will do.
#[derive(Debug, Clone, PartialEq)]
pub struct SyncPlan {
    /// The collection.
    pub collection: CollectionName,
    /// Its generation the plan was made on.
    pub base: Generation,
    /// The source.
    pub source: Source,
    /// The version to fill.
    pub target: Target,
    /// Whether the collection's pointer moves to that version.
    pub activate: bool,
    /// The recipe.
    pub embed_text: EmbedText,
    /// Whether the recipe is another than the collection's.
    pub embed_text_changed: bool,
    /// The collection's other versions: rows that change keep their vectors there, where those are known.
    pub companions: Vec<Companion>,
    /// How it runs.
    pub mode: SyncMode,
    /// Rows of the source that could be read and are selected.
    pub total: usize,
    /// Rows to write or to bind.
    pub rows: Vec<PlannedRow>,
    /// Rows to delete; the old names of renamed rows are not among them.
    pub deletes: Vec<DocumentKey>,
    /// Rows that the source no longer shows and that stay, because it could not be read in full.
    pub withheld: usize,
    /// Rows that stand elsewhere in the source.
    pub relocations: Vec<Relocation>,
    /// Rows of the source that stay as they are, rebound ones included.
    pub unchanged: usize,
    /// Rows left out.
    pub failed: Vec<FailedRow>,
}

impl SyncPlan {
    /// Whether there is nothing to write at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
            && self.deletes.is_empty()
            && self.relocations.is_empty()
            && !self.activate
            && !self.embed_text_changed
    }

    /// How many rows change in one way.
    #[must_use]
    pub fn count(&self, which: impl Fn(&Change) -> bool) -> usize {
        self.rows.iter().filter(|row| which(&row.change)).count()
    }

    /// Rows that were not there.
    #[must_use]
    pub fn added(&self) -> usize {
        self.count(|change| *change == Change::Added)
    }

    /// Rows whose embedded text changed.
    #[must_use]
    pub fn modified(&self) -> usize {
        self.count(|change| *change == Change::Modified)
    }

    /// Rows that changed, but not in their embedded text.
    #[must_use]
    pub fn relabelled(&self) -> usize {
        self.count(|change| *change == Change::Relabelled)
    }

    /// Rows that got another id and nothing else.
    #[must_use]
    pub fn renamed(&self) -> usize {
        self.count(|change| matches!(change, Change::Renamed { .. }))
    }

    /// Differences a reader could see between source and store: 0 when they agree row by row.
    #[must_use]
    pub fn differences(&self) -> usize {
        self.added() + self.modified() + self.relabelled() + self.renamed() + self.deletes.len()
    }
}
