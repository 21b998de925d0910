//! Search inside a store that can do it: the same rows and scores as comparing every row in memory, but for what an
//! approximate index leaves out.

use std::fmt;

use async_trait::async_trait;

use crate::{CollectionName, EmbeddingRecord, Embedding, Filter, Generation, Result, VersionId};

/// What to look for.
#[derive(Debug, Clone, PartialEq)]
pub struct NearestQuery {
    /// In which collection.
    pub collection: CollectionName,
    /// In which of its versions; the active one if none is named.
    pub version: Option<VersionId>,
    /// The question, as long as the version's vectors.
    pub vector: Embedding,
    /// Documents to find at most.
    pub top_k: usize,
    /// Rows that take part.
    pub filter: Filter,
    /// Whether every row must be compared, index or not.
    pub exact: bool,
    /// How many candidates the index keeps while it looks; `None` for what was tuned.
    pub effort: Option<u32>,
}

/// How the rows were found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoundBy {
    /// Every row that passes the filter was compared.
    Comparison,
    /// An index was followed: rows may have been left out.
    Index(String),
}

impl fmt::Display for FoundBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Comparison => f.write_str("exact comparison"),
            Self::Index(name) => write!(f, "index {name}"),
        }
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Nearest {
    /// The best row of each document with its vector, at least as many as the nearest `top_k` documents, in no
    /// particular order: whoever asked scores and sorts them as it does any other row.
    pub rows: Vec<EmbeddingRecord>,
    /// The collection's generation that they are of.
    pub generation: Generation,
    /// How they were found.
    pub found_by: FoundBy,
}

/// A store that searches by itself.
#[async_trait]
pub trait NearestNeighbours: fmt::Debug + Send + Sync {
    /// Finds the documents nearest to a vector by cosine. A collection without rows has none.
    ///
    /// # Errors
    /// `Model` for a version that the collection does not have, or a vector of another length; `Corrupt` when a row
    /// that was found is damaged.
    async fn nearest(&self, query: &NearestQuery) -> Result<Nearest>;
}
