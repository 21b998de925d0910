//! The plan: what one sync will do, decided before anything is written.

use std::collections::BTreeSet;

use storage_core::{
    CollectionName, ContentHash, Document, DocumentKey, EmbedText, Generation, InputHash,
    RecordHash, Relocation, Source, VectorKey,
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

impl Change {
    /// The word in reports and plans.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Modified => "modified",
            Self::Relabelled => "relabelled",
            Self::Renamed { .. } => "renamed",
            Self::Rebound => "rebound",
        }
    }
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
    /// Rows to write that an import brought: they change their owner.
    pub taken_over: BTreeSet<DocumentKey>,
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

    /// A digest of everything it changes: two plans of one digest, made on one generation of a collection, leave the same
    /// rows. By which road vectors come, and whether they are there already, is no part of it.
    #[must_use]
    pub fn digest(&self) -> ContentHash {
        let mut bytes = Vec::new();
        let mut field = |field: &[u8]| {
            bytes.extend_from_slice(&(field.len() as u64).to_le_bytes());
            bytes.extend_from_slice(field);
        };
        field(self.collection.as_str().as_bytes());
        field(self.source.id.as_str().as_bytes());
        field(self.embed_text.as_str().as_bytes());
        field(&[u8::from(self.activate), u8::from(self.embed_text_changed)]);
        for row in &self.rows {
            let from = match &row.change {
                Change::Renamed { from } => Some(from),
                _ => None,
            };
            field(row.change.as_str().as_bytes());
            for key in [&row.document.key]
                .into_iter()
                .chain(from.map(|from| &**from))
            {
                field(key.document.as_bytes());
                field(&key.chunk.to_le_bytes());
            }
            field(RecordHash::of(&row.document).to_hex().as_bytes());
            field(row.input.to_hex().as_bytes());
        }
        for key in &self.deletes {
            field(b"deleted");
            field(key.document.as_bytes());
            field(&key.chunk.to_le_bytes());
        }
        for key in &self.taken_over {
            field(b"taken over");
            field(key.document.as_bytes());
            field(&key.chunk.to_le_bytes());
        }
        for relocation in &self.relocations {
            field(b"relocated");
            field(relocation.key.document.as_bytes());
            field(&relocation.key.chunk.to_le_bytes());
            field(format!("{:?}", relocation.locator).as_bytes());
        }
        ContentHash::of(&bytes)
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
