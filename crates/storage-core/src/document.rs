//! What a source says about one row, and where it said it.

use std::collections::BTreeMap;

use crate::{CollectionName, Embedding, MetadataValue, SourceId};

/// Names one row: a chunk of a document of a collection. A FAQ template is chunk 0 of its document; further
/// wordings of its question are chunks 1, 2, ….
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocumentKey {
    /// The collection the row belongs to.
    pub collection: CollectionName,
    /// The document's id, unique in its collection.
    pub document: String,
    /// Position of the chunk within its document, from 0.
    pub chunk: u32,
}

/// One row as readers see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Its name.
    pub key: DocumentKey,
    /// The source that owns it.
    pub source: SourceId,
    /// The question of a FAQ entry, the heading of a chunk; may be empty.
    pub title: String,
    /// The answer of a FAQ entry, the text of a chunk; may be empty.
    pub body: String,
    /// Main category, where the source has one.
    pub category: Option<String>,
    /// Category within the category.
    pub subcategory: Option<String>,
    /// Further columns of the source, typed.
    pub metadata: BTreeMap<String, MetadataValue>,
    /// Where the source holds it: for citation. A change here alone leaves the row unchanged.
    pub locator: Locator,
}

/// Where in its source a row stands. Every part is optional.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub struct Locator {
    /// Worksheet.
    pub sheet: Option<String>,
    /// Row as the source's own program counts it: the header of a plain workbook is row 1.
    pub row: Option<u64>,
    /// Page, from 1.
    pub page: Option<u32>,
    /// Byte offsets `start..end` into the extracted text.
    pub span: Option<(u64, u64)>,
}

/// A row with its vector in one version.
#[derive(Debug, Clone, PartialEq)]
pub struct EmbeddingRecord {
    /// The row.
    pub document: Document,
    /// Its vector, in the version that was scanned.
    pub embedding: Embedding,
}
