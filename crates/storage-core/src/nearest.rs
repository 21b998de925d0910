//! Search inside a store that can do it: the same rows and scores as comparing every row in memory, but for what an
//! approximate index leaves out.

use std::fmt;

use async_trait::async_trait;

use crate::{
    CollectionName, Embedding, EmbeddingRecord, Filter, Generation, Result, Timestamp, VersionId,
};

/// How hard an index is searched: more finds more, and takes longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effort {
    /// Candidates it keeps while it looks.
    pub candidates: u32,
    /// Rows it visits at most while too few of them pass the filter.
    pub visits: u32,
}

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
    /// Only about one row in so many takes part, always the same ones: a filter of a known share, to measure with.
    pub one_in: Option<u32>,
    /// Whether every row must be compared, index or not.
    pub exact: bool,
    /// How hard to look; `None` for what was tuned.
    pub effort: Option<Effort>,
}

/// How the rows were found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoundBy {
    /// Every row that passes the filter was compared.
    Comparison,
    /// This index was followed: rows may have been left out.
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
    /// Rows with their vectors, those of the nearest `top_k` documents among them, in no particular order: whoever
    /// asked scores and sorts them as any other row, so that scores do not depend on where the search ran.
    pub rows: Vec<EmbeddingRecord>,
    /// The collection's generation that they are of.
    pub generation: Generation,
    /// How they were found.
    pub found_by: FoundBy,
}

/// How to build an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexPlan {
    /// Neighbours of a vector in the graph.
    pub neighbours: u32,
    /// Candidates kept while it is built.
    pub candidates: u32,
    /// Bytes the server may use meanwhile; `None` for what it is set to.
    pub memory: Option<u64>,
}

impl Default for IndexPlan {
    /// pgvector's own defaults.
    fn default() -> Self {
        Self {
            neighbours: 16,
            candidates: 64,
            memory: None,
        }
    }
}

/// How far a build is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexProgress {
    /// What the server says it does.
    pub phase: String,
    /// Rows done.
    pub done: u64,
    /// Rows to do; 0 before it is known.
    pub total: u64,
}

/// An index that was built, or what is left of one.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexStatus {
    /// Its name in the database.
    pub name: String,
    /// Whether searches may use it: a killed build leaves one that they may not.
    pub valid: bool,
    /// Its bytes.
    pub bytes: u64,
    /// Vectors in the space that it is of.
    pub vectors: u64,
    /// Whether the server follows it for a search without a filter.
    pub used: bool,
    /// How it was built; `None` where nothing tells.
    pub plan: Option<IndexPlan>,
    /// What was tuned.
    pub effort: Option<Effort>,
    /// JSON of the measurement behind it.
    pub tuning: Option<String>,
}

/// The indexes of a collection's version, and what is to be known of the server.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexReport {
    /// Those of the version's vector space.
    pub indexes: Vec<IndexStatus>,
    /// Version of the extension that searches.
    pub extension: String,
    /// Numbers per vector.
    pub dimensions: u32,
    /// Vectors in the space.
    pub vectors: u64,
    /// Bytes that a build needs to stay in memory, by estimate.
    pub memory_needed: u64,
    /// Bytes that a build may use.
    pub memory_allowed: u64,
    /// What is wrong or may go wrong, each with its remedy.
    pub warnings: Vec<String>,
}

/// A store that searches by itself.
#[async_trait]
pub trait NearestNeighbours: fmt::Debug + Send + Sync {
    /// Finds the documents nearest to a vector by cosine. A collection without rows has none.
    ///
    /// # Errors
    /// `Model` for a version that the collection does not have, or a vector of another length; `Corrupt` when a row
    /// that was found is damaged.
    async fn find(&self, query: &NearestQuery) -> Result<Nearest>;

    /// Some stored vectors of the served version of a collection, the same ones every time: questions to measure with.
    ///
    /// # Errors
    /// `Model` for a collection that serves nothing.
    async fn sample(&self, collection: &CollectionName, count: usize) -> Result<Vec<Embedding>>;

    /// What indexes the served version of a collection has.
    ///
    /// # Errors
    /// `Model` for a collection that serves nothing.
    async fn indexes(&self, collection: &CollectionName) -> Result<IndexReport>;

    /// Builds an index for the served version of a collection while others read and write, and only then drops those
    /// that it replaces. What killed builds left goes first. Returns its name.
    ///
    /// # Errors
    /// `Model` for a collection that serves nothing; `Unsupported` for vectors that no index takes.
    async fn build_index(
        &self,
        collection: &CollectionName,
        plan: IndexPlan,
        at: Timestamp,
        progress: &(dyn Fn(IndexProgress) + Send + Sync),
    ) -> Result<String>;

    /// Drops the indexes of the served version of a collection, and returns their names.
    ///
    /// # Errors
    /// `Model` for a collection that serves nothing.
    async fn drop_indexes(&self, collection: &CollectionName) -> Result<Vec<String>>;

    /// Keeps how hard searches look from now on, with the measurement behind it.
    ///
    /// # Errors
    /// `Invalid` when there is no index.
    async fn keep_effort(
        &self,
        collection: &CollectionName,
        effort: Effort,
        measurement: &str,
    ) -> Result<()>;
}
