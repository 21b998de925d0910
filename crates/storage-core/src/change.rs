//! What a writer hands to a store: vectors' owners, rows to write, rows to drop, and the pointer to flip.

use crate::{Binding, UndoPolicy, VectorKey, VersionId, VersionSpec};
use crate::{
    CollectionName, Document, DocumentKey, InputHash, Locator, RecordHash, RunId, SourceId,
    Timestamp,
};

/// Raised by one on every successful `apply`: one counter a collection (writers' conflicts), one for the store
/// (readers).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Generation(pub u64);

/// What a store remembers of a row without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// The row.
    pub key: DocumentKey,
    /// Who owns it.
    pub source: SourceId,
    /// Hash of what readers see.
    pub record: RecordHash,
    /// The vector it has in the collection's active version.
    pub vector: Option<VectorKey>,
    /// Where the source held it when it was written.
    pub locator: Locator,
}

/// A row to write, with its vector in one or more versions. The record hash is derived, so it cannot disagree.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    document: Box<Document>,
    record: RecordHash,
    vectors: Vec<Binding>,
}

impl Row {
    /// A row and the vectors it refers to: at least one, at most one a version.
    #[must_use]
    pub fn new(document: impl Into<Box<Document>>, vectors: Vec<Binding>) -> Self {
        let document = document.into();
        let record = RecordHash::of(&document);
        Self {
            document,
            record,
            vectors,
        }
    }

    /// The row's fields.
    #[must_use]
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// Hash of what readers see.
    #[must_use]
    pub fn record(&self) -> RecordHash {
        self.record
    }

    /// Its vector in each version.
    #[must_use]
    pub fn vectors(&self) -> &[Binding] {
        &self.vectors
    }

    /// Leaves out the vectors for which this is not so.
    pub fn retain_vectors(&mut self, is_there: impl FnMut(&Binding) -> bool) {
        self.vectors.retain(is_there);
    }
}

/// A row that stands elsewhere in its source, and is otherwise unchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relocation {
    /// The row.
    pub key: DocumentKey,
    /// Where it stands now.
    pub locator: Locator,
}

/// A place that rows come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its id: stable when the file moves.
    pub id: SourceId,
    /// The collection it fills.
    pub collection: CollectionName,
    /// `xlsx`, `csv`, `jsonl`, …
    pub kind: String,
    /// Where it was last read from. Never holds a secret.
    pub location: String,
}

/// Everything one `apply` does, in one transaction.
#[derive(Debug, Clone)]
pub struct ChangeSet {
    /// The collection that is changed; created when it does not exist.
    pub collection: CollectionName,
    /// Generation of that collection that the change was planned on; a mismatch is `Conflict`.
    pub base: Generation,
    /// The source the rows come from, to be recorded or brought up to date.
    pub source: Option<Source>,
    /// Rows to insert or replace. A replaced row keeps its vectors in versions that are not named here only while its
    /// own text under them is unknown to change: the store drops them, since they may be stale.
    pub upserts: Vec<Row>,
    /// Rows to remove; absent ones are no error.
    pub deletes: Vec<DocumentKey>,
    /// Rows that keep their content and stand elsewhere.
    pub relocations: Vec<Relocation>,
    /// Further vectors of rows that are otherwise unchanged: how a new version is filled.
    pub binds: Vec<(DocumentKey, Binding)>,
    /// A version of the collection to register as building, unless it is registered.
    pub register: Option<VersionSpec>,
    /// A version that is ready from now on: refused while a row lacks its vector.
    pub complete: Option<VersionId>,
    /// Flips the collection's pointer in the same transaction; the version that was active becomes the previous one.
    pub activate: Option<VersionId>,
    /// What becomes of the rows that it replaces or deletes.
    pub undo: UndoPolicy,
    /// The run that does it.
    pub run: RunId,
    /// When.
    pub applied_at: Timestamp,
}

/// What an `apply` did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    /// The collection's new generation.
    pub collection: Generation,
    /// The store's new generation.
    pub store: Generation,
}

/// What a run is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunKind {
    /// Source into store.
    Sync,
    /// Rows into a new version of the same or another model.
    Recompute,
    /// Vectors from elsewhere.
    Import,
}

/// How a run ended, or that it has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunState {
    /// Under way, or cut off: only the next run can tell.
    Started,
    /// Applied.
    Finished,
    /// Ended with an error after a clean stop.
    Failed,
}

macro_rules! words {
    ($type:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        impl $type {
            /// The stored word.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// Reads the stored word.
            #[must_use]
            pub fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

words!(RunKind { Sync = "sync", Recompute = "recompute", Import = "import" });
words!(RunState { Started = "started", Finished = "finished", Failed = "failed" });

/// One line of the ledger: what a run was for and what it cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRecord {
    /// Its name.
    pub id: RunId,
    /// What it is for.
    pub kind: RunKind,
    /// The collection it works on.
    pub collection: CollectionName,
    /// The source it reads, where there is one.
    pub source: Option<SourceId>,
    /// The version it fills, once known.
    pub version: Option<VersionId>,
    /// How it stands.
    pub state: RunState,
    /// API calls made.
    pub requests: u64,
    /// Texts sent.
    pub texts: u64,
    /// Tokens billed, where the provider says.
    pub tokens: u64,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// What one answer of a provider cost: added to the run's line of the ledger in the transaction that stores its
/// vectors, so that neither is ever known without the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spend {
    /// The run that pays; it need not be recorded yet.
    pub run: RunId,
    /// API calls made, failed ones included.
    pub requests: u64,
    /// Texts that were answered with a vector.
    pub texts: u64,
    /// Tokens billed, where the provider says.
    pub tokens: u64,
}

impl Spend {
    /// Nothing: vectors that came from elsewhere.
    #[must_use]
    pub fn nothing(run: RunId) -> Self {
        Self {
            run,
            requests: 0,
            texts: 0,
            tokens: 0,
        }
    }
}

/// The input hash behind a fingerprint, where it has a vector.
impl Fingerprint {
    /// The text the active vector was computed from.
    #[must_use]
    pub fn input(&self) -> Option<InputHash> {
        self.vector.as_ref().map(|vector| vector.input)
    }
}
