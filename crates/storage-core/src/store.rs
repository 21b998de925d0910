//! The contract every store keeps. The conformance suite in `testing` checks each sentence of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use async_trait::async_trait;
use futures_util::stream::BoxStream;

use crate::{
    Applied, ChangeSet, CollectionName, ContentHash, Document, DocumentKey, Embedding,
    EmbeddingRecord, EmbeddingVersion, Filter, Fingerprint, Generation, InputHash, IntegrityReport,
    Result, RunRecord, Source, Spend, Timestamp, VectorKey, VersionId,
};

/// How many rows a category has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CategoryCount {
    /// The category; `None` for rows that have none.
    pub category: Option<String>,
    /// Rows in it.
    pub records: u64,
}

/// One collection at a glance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectionStatus {
    /// Its name.
    pub name: CollectionName,
    /// Its counter.
    pub generation: Generation,
    /// The version it serves; `None` only before the first row.
    pub active: Option<VersionId>,
    /// The version that a rollback would serve.
    pub previous: Option<VersionId>,
    /// The recipe of its inputs, as written.
    pub embed_text: String,
    /// Rows.
    pub records: u64,
    /// Distinct documents.
    pub documents: u64,
    /// Rows without a vector of the active version: 0 unless the store was damaged.
    pub missing: u64,
    /// Rows per category, in the categories' order.
    pub categories: Vec<CategoryCount>,
}

/// Sizes in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoreBytes {
    /// The whole store on disk; 0 for one in memory.
    pub file: u64,
    /// Stored vectors.
    pub vectors: u64,
    /// Questions, answers, categories and metadata.
    pub text: u64,
}

/// A store at a glance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreStatus {
    /// `sqlite`, `memory`, ….
    pub backend: &'static str,
    /// Number of the newest migration.
    pub schema_version: u32,
    /// The readers' counter.
    pub generation: Generation,
    /// Every registered version, oldest first.
    pub versions: Vec<EmbeddingVersion>,
    /// Every collection, by name.
    pub collections: Vec<CollectionStatus>,
}

impl StoreStatus {
    /// The collection of that name.
    #[must_use]
    pub fn collection(&self, name: &CollectionName) -> Option<&CollectionStatus> {
        self.collections
            .iter()
            .find(|collection| collection.name == *name)
    }

    /// The version of that id.
    #[must_use]
    pub fn version(&self, id: &VersionId) -> Option<&EmbeddingVersion> {
        self.versions.iter().find(|version| version.id == *id)
    }

    /// The version a collection serves.
    #[must_use]
    pub fn active(&self, name: &CollectionName) -> Option<&EmbeddingVersion> {
        self.version(self.collection(name)?.active.as_ref()?)
    }
}

/// Vectors that no row refers to: paid for, and kept until they are pruned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheStats {
    /// All stored vectors.
    pub vectors: u64,
    /// Those that no row of any version refers to.
    pub unreferenced: u64,
    /// Bytes of the unreferenced ones.
    pub unreferenced_bytes: u64,
    /// When the oldest unreferenced one was stored.
    pub oldest: Option<Timestamp>,
}

/// A vector to store.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredVector {
    /// Its name.
    pub key: VectorKey,
    /// Its numbers, as many as its version has dimensions.
    pub embedding: Embedding,
}

/// Keeps documents and their vectors.
///
/// Every method may be called at any time from any task. A method that fails has changed nothing, but for
/// `OutcomeUnknown`. Dropping a future leaves the store whole: the operation happened or did not. Stores never read
/// the clock.
#[async_trait]
pub trait EmbeddingStore: fmt::Debug + Send + Sync + 'static {
    /// Schema version, generations, versions, counts, all from one moment.
    async fn status(&self) -> Result<StoreStatus>;

    /// Sizes on disk. May read every row's length.
    async fn bytes(&self) -> Result<StoreBytes>;

    /// Keys, owners and hashes of a collection in key order, without texts and vectors, with the generation they
    /// belong to. A collection that does not exist has generation 0 and no rows.
    async fn fingerprints(
        &self,
        collection: &CollectionName,
    ) -> Result<(Generation, Vec<Fingerprint>)>;

    /// The rows of these keys, in key order; keys that do not exist are left out.
    async fn documents(&self, keys: &[DocumentKey]) -> Result<Vec<Document>>;

    /// The sources of a collection, by id.
    async fn sources(&self, collection: &CollectionName) -> Result<Vec<Source>>;

    /// Rows that pass the filter, with their vectors in the collection's active version, in key order, all from one
    /// generation, in bounded memory. Writers go on meanwhile. A row whose vector is damaged ends the stream with
    /// `Corrupt`.
    fn scan(
        &self,
        collection: &CollectionName,
        filter: Filter,
    ) -> BoxStream<'static, Result<EmbeddingRecord>>;

    /// Registers a version; one that is registered already stays as it is.
    async fn register_version(&self, version: &EmbeddingVersion) -> Result<()>;

    /// Which of these inputs have a vector of this version, and the variant to refer to: `None` for one that we
    /// computed, which is preferred, else the smallest imported one. Inputs that are absent must be embedded.
    async fn stored_vectors(
        &self,
        version: &VersionId,
        inputs: &BTreeSet<InputHash>,
    ) -> Result<BTreeMap<InputHash, Option<ContentHash>>>;

    /// Stores vectors by content, and adds what they cost to the run's line of the ledger, in one transaction: durable
    /// when it returns, the vectors invisible until a row refers to them. A vector that is stored already stays as it
    /// is; what was spent is added all the same. The batch may be empty: a refusal costs a call too.
    ///
    /// # Errors
    /// `Model` when the version is not registered or a vector has another length; nothing is stored or added then.
    async fn put_embeddings(
        &self,
        batch: &[StoredVector],
        spend: &Spend,
        at: Timestamp,
    ) -> Result<()>;

    /// Does everything in the change set or nothing, in one transaction: the one moment readers see.
    ///
    /// # Errors
    /// `Conflict` when the collection's generation is not the change set's base. `Model` when a row would be left
    /// without a stored vector of the version that is active afterwards. `Invalid` when a key of another collection
    /// is named, or a document id belongs to a row of another source.
    async fn apply(&self, changes: ChangeSet) -> Result<Applied>;

    /// Writes a line of the ledger, replacing the one with the same id.
    async fn record_run(&self, run: &RunRecord) -> Result<()>;

    /// The newest runs of a collection, newest first.
    async fn runs(&self, collection: &CollectionName, limit: usize) -> Result<Vec<RunRecord>>;

    /// What `prune` could free.
    async fn cache_stats(&self) -> Result<CacheStats>;

    /// Deletes vectors that no row refers to and that were stored before `stored_before`; never one of a version that
    /// is being built. Returns how many. Nothing else ever deletes a vector.
    async fn prune(&self, stored_before: Timestamp) -> Result<u64>;

    /// Hashes every row and vector again, checks lengths, references and counts. Reports, never repairs.
    async fn check(&self) -> Result<IntegrityReport>;
}
