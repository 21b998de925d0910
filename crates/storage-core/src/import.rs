//! What a legacy store hands over: records with the vectors they have, one collection at a time.
//!
//! Readers of legacy stores make these, and whoever writes a store takes them; neither knows the other.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::num::NonZeroU32;

use futures_util::stream::BoxStream;

use crate::{Embedding, Locator, MetadataValue};

/// The kinds of sources that an import leaves behind: what wrote the store that was read. Whatever is fed by a real source
/// later takes the rows of these over.
pub const IMPORT_KINDS: [&str; 5] = ["chroma", "faiss", "langchain", "hybrid", "vectors"];

/// A record of a legacy store, with its vector.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportedRecord {
    /// Its id there: becomes the document's id.
    pub document: String,
    /// Position of the chunk within its document; 0 where the source knows no chunks.
    pub chunk: u32,
    /// The text that was embedded, byte for byte; `None` where the source kept none. Such a row can be searched, and can
    /// never be embedded again.
    pub text: Option<String>,
    /// Main category, where the format has a field of that name.
    pub category: Option<String>,
    /// What else the source says of it, with the source's types.
    pub metadata: BTreeMap<String, MetadataValue>,
    /// Its vector.
    pub embedding: Embedding,
    /// Where it stands in the source: for citation.
    pub locator: Locator,
}

/// A record that could not be read, or not wholly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportFault {
    /// Its id, where that is known.
    pub id: Option<String>,
    /// Its line or position, as the source counts.
    pub row: Option<u64>,
    /// Why.
    pub reason: String,
}

/// One thing found in a legacy store.
#[derive(Debug, Clone, PartialEq)]
pub enum Imported {
    /// A record to move.
    Record(Box<ImportedRecord>),
    /// A record of the source's own count that is not moved.
    Fault(ImportFault),
}

/// How a source compares vectors. What it calls a score is another number than ours; thresholds are not copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Metric {
    /// Cosine distance. The source may store the vectors normalised.
    Cosine,
    /// Euclidean distance, usually squared.
    Euclidean,
    /// Inner product.
    InnerProduct,
    /// Something else, or nothing is said.
    Other,
}

impl Metric {
    /// The word in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cosine => "cosine",
            Self::Euclidean => "l2",
            Self::InnerProduct => "ip",
            Self::Other => "other",
        }
    }
}

/// A collection of a legacy store, as it describes itself before a record is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedCollection {
    /// What wrote it: one of [`IMPORT_KINDS`].
    pub kind: &'static str,
    /// Its name there; for a format without names, the file's stem.
    pub name: String,
    /// Where it is, as a person writes it; never holds a secret.
    pub location: String,
    /// Records it should have by its own count, faulty ones included: what coverage is measured against.
    pub total: u64,
    /// Numbers per vector; `None` while it holds none.
    pub dimensions: Option<NonZeroU32>,
    /// How it compares vectors.
    pub metric: Metric,
    /// The embedding model, where the source names it.
    pub model: Option<String>,
    /// How the vectors differ from what was written into the source; `None` where they are exact.
    pub lossy: Option<String>,
    /// What else a person should know before the move: one sentence each.
    pub notes: Vec<String>,
}

/// A legacy collection that can be read from its beginning, as often as wanted: once to move it, once more to compare.
pub trait ImportSource: fmt::Debug + Send + Sync + 'static {
    /// What it is.
    fn collection(&self) -> &ImportedCollection;

    /// Everything it holds, in an order that is the same each time, in batches, in bounded memory. Every record of
    /// `total` comes once, as a record or as a fault.
    ///
    /// The stream ends with an error when nothing more can be read: what was given before it stands.
    fn read(&self) -> BoxStream<'static, Result<Vec<Imported>, ImportError>>;
}

/// What the caller can do about a source that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ImportErrorKind {
    /// There is no such file, directory, server or collection: name another.
    NotFound,
    /// It is something else than it should be, or of a form that is not read: the message says what to do instead.
    Unsupported,
    /// It contradicts itself or its end is missing: take a copy that is whole, or what it still proves.
    Damaged,
    /// Its vectors are approximations: say that this is known.
    Lossy,
    /// Its vectors are of another length than was asked for: ask for another, or name another source.
    Dimensions,
    /// Somebody writes to it: stop the writer, or wait.
    Changing,
    /// A server does not answer, or not now: try again later.
    Unavailable,
    /// A server does not let us in: mend the settings.
    Refused,
    /// It is larger than anything honest.
    TooLarge,
    /// It cannot be read from its place.
    Io,
}

/// A source that cannot be read: kind, one fact with the next step, and the cause behind it.
#[derive(Debug)]
pub struct ImportError {
    kind: ImportErrorKind,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl ImportError {
    /// An error without a deeper cause.
    #[must_use]
    pub fn new(kind: ImportErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// Adds the cause; its text belongs to `source()` and is not repeated in the message.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What the caller can do.
    #[must_use]
    pub fn kind(&self) -> ImportErrorKind {
        self.kind
    }
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for ImportError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source
            .as_ref()
            .map(|source| &**source as &(dyn Error + 'static))
    }
}
