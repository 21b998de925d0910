//! The contract every store keeps. The conformance suite in `testing` checks each sentence of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use async_trait::async_trait;
use futures_util::stream::BoxStream;

use crate::{
    Applied, Canaries, Canary, ChangeSet, CollectionName, ContentHash, Document, DocumentKey,
    EmbedText, EmbedTextError, Embedding, EmbeddingRecord, EmbeddingSpace, Filter, Fingerprint,
    Generation, InputHash, IntegrityReport, NearestNeighbours, Result, RunId, RunRecord, Source,
    SpaceId, Spend, Timestamp, UndoRow, VectorKey, Version, VersionId,
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
    /// Its versions, oldest first.
    pub versions: Vec<Version>,
    /// Rows.
    pub records: u64,
    /// Distinct documents.
    pub documents: u64,
    /// Rows without a vector of the active version: 0 unless the store was damaged.
    pub missing: u64,
    /// Rows per category, in the categories' order.
    pub categories: Vec<CategoryCount>,
}

impl CollectionStatus {
    /// The version of that id.
    #[must_use]
    pub fn version(&self, id: &VersionId) -> Option<&Version> {
        self.versions.iter().find(|version| version.id == *id)
    }

    /// The version it serves.
    #[must_use]
    pub fn active_version(&self) -> Option<&Version> {
        self.version(self.active.as_ref()?)
    }

    /// The recipe of the version it serves; `None` before the first row.
    ///
    /// # Errors
    /// When the stored recipe is damaged.
    pub fn embed_text(&self) -> std::result::Result<Option<EmbedText>, EmbedTextError> {
        self.active_version()
            .map(|version| EmbedText::parse(&version.embed_text))
            .transpose()
    }
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

/// Where a store is read that is written elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadFrom {
    /// The place, as a person writes it; never holds a secret.
    pub place: String,
    /// Whether it follows another server.
    pub standby: bool,
    /// The generation of the store there.
    pub generation: Generation,
    /// The generation where it is written; `None` where that could not be asked.
    pub primary: Option<Generation>,
}

/// A store at a glance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreStatus {
    /// `sqlite`, `memory`, ….
    pub backend: &'static str,
    /// Tells this store from every other, its own restored copies included: 32 hexadecimal digits.
    pub store_id: String,
    /// Number of the newest migration.
    pub schema_version: u32,
    /// The readers' counter.
    pub generation: Generation,
    /// Every registered vector space, oldest first.
    pub spaces: Vec<EmbeddingSpace>,
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

    /// The vector space of that id.
    #[must_use]
    pub fn space(&self, id: &SpaceId) -> Option<&EmbeddingSpace> {
        self.spaces.iter().find(|space| space.id == *id)
    }

    /// The vector space that a collection serves.
    #[must_use]
    pub fn active(&self, name: &CollectionName) -> Option<&EmbeddingSpace> {
        self.space(&self.collection(name)?.active_version()?.space)
    }

    /// Whether any collection has a version in that space, finished or not.
    #[must_use]
    pub fn is_used(&self, space: &SpaceId) -> bool {
        let mut versions = self
            .collections
            .iter()
            .flat_map(|collection| &collection.versions);
        versions.any(|version| version.space == *space)
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

/// A vector as a store keeps it, with the time it was paid for.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptVector {
    /// Its name and its numbers.
    pub vector: StoredVector,
    /// When it was stored first, wherever that was.
    pub stored_at: Timestamp,
}

/// What is written beside a version: JSON that whoever measured it can read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionNote<'a> {
    /// Which scores count as an answer.
    Calibration(&'a str),
    /// How it did on questions with known answers.
    Evaluation(&'a str),
}

/// What deleting a version gave back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Freed {
    /// Vectors that no other version refers to.
    pub vectors: u64,
    /// Their bytes.
    pub bytes: u64,
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

    /// Which of several copies is read, and how far that is; `None` for a store that is read where it is written.
    async fn read_from(&self) -> Result<Option<ReadFrom>> {
        Ok(None)
    }

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

    /// Rows that pass the filter, with their vectors in a version of the collection, the active one if none is named,
    /// in key order, all from one generation, in bounded memory. Writers go on meanwhile. A row whose vector is
    /// damaged ends the stream with `Corrupt`; so does a row without a vector, but in a version that is not served
    /// with `Model`: it has to be built first. A version that the collection does not have is `Model` too.
    fn scan(
        &self,
        collection: &CollectionName,
        version: Option<&VersionId>,
        filter: Filter,
    ) -> BoxStream<'static, Result<EmbeddingRecord>>;

    /// Keys of the rows that have no vector in a version of the collection, in key order, with the generation they
    /// belong to: all of them for a version that is not registered.
    async fn unbound(
        &self,
        collection: &CollectionName,
        version: &VersionId,
    ) -> Result<(Generation, Vec<DocumentKey>)>;

    /// The names of the vectors that rows have in a version of the collection, in the rows' key order, with the
    /// generation they belong to: none for a version that is not registered. Rows without a vector are left out.
    async fn bindings(
        &self,
        collection: &CollectionName,
        version: &VersionId,
    ) -> Result<(Generation, Vec<(DocumentKey, VectorKey)>)>;

    /// Every vector of a space in the order of its name, those that no row refers to included, all from one moment, in
    /// bounded memory. Writers go on meanwhile. A damaged vector ends the stream with `Corrupt`; a space that is not
    /// registered has none.
    fn vectors(&self, space: &SpaceId) -> BoxStream<'static, Result<KeptVector>>;

    /// Registers a vector space; one that is registered already stays as it is.
    async fn register_space(&self, space: &EmbeddingSpace) -> Result<()>;

    /// Which of these inputs have a vector in this space, and the variant to refer to: `None` for one that we
    /// computed, which is preferred, else the smallest imported one. Inputs that are absent must be embedded.
    async fn stored_vectors(
        &self,
        space: &SpaceId,
        inputs: &BTreeSet<InputHash>,
    ) -> Result<BTreeMap<InputHash, Option<ContentHash>>>;

    /// Stores vectors by content, and adds what they cost to the run's line of the ledger, in one transaction: durable
    /// when it returns, the vectors invisible until a row refers to them. A vector that is stored already stays as it
    /// is; what was spent is added all the same. The batch may be empty: a refusal costs a call too.
    ///
    /// # Errors
    /// `Model` when the space is not registered or a vector has another length; nothing is stored or added then.
    async fn put_embeddings(
        &self,
        batch: &[StoredVector],
        spend: &Spend,
        at: Timestamp,
    ) -> Result<()>;

    /// Stores vectors that another store holds, with the times they were paid for, in one transaction, and otherwise
    /// as [`put_embeddings`](Self::put_embeddings) does: a vector that is stored already stays as it is.
    ///
    /// # Errors
    /// `Model` when the space is not registered or a vector has another length; nothing is stored then.
    async fn adopt(&self, batch: &[KeptVector], run: &RunId) -> Result<()>;

    /// Does everything in the change set or nothing, in one transaction: the one moment readers see.
    ///
    /// # Errors
    /// `Conflict` when the collection's generation is not the change set's base. `Model` when a row would be left
    /// without a stored vector of the version that is active or declared complete afterwards, when a vector lies in
    /// another space than the version it is bound in, and when a version or a space is not registered. `Invalid` when
    /// a key of another collection is named, or a document id belongs to a row of another source.
    ///
    /// Moving the pointer costs the same for ten rows as for a hundred thousand: how many rows a version serves is
    /// counted as they are bound.
    async fn apply(&self, changes: ChangeSet) -> Result<Applied>;

    /// Writes a note beside a version, replacing the one that was there. Readers of rows notice nothing.
    ///
    /// # Errors
    /// `Model` when the collection has no such version.
    async fn annotate(
        &self,
        collection: &CollectionName,
        version: &VersionId,
        note: VersionNote<'_>,
    ) -> Result<()>;

    /// Forgets a version, and deletes every vector that it alone referred to; with the last version of a space the
    /// whole space goes, its canaries and its unreferenced vectors included. Readers of rows notice nothing.
    ///
    /// # Errors
    /// `Model` when the collection has no such version. `Invalid` for one that is active or previous, and for one that
    /// is building unless `abandoned` says that nobody builds it any longer.
    async fn delete_version(
        &self,
        collection: &CollectionName,
        version: &VersionId,
        abandoned: bool,
    ) -> Result<Freed>;

    /// What is known of a space's provider; nothing for a space that is not registered.
    async fn canaries(&self, space: &SpaceId) -> Result<Canaries>;

    /// Notes that the provider of a space answered as it does at `at`, and keeps `new` texts beside those that are
    /// kept already. A text that is kept stays with its first vector.
    ///
    /// # Errors
    /// `Model` when the space is not registered or a vector has another length.
    async fn record_canaries(&self, space: &SpaceId, new: &[Canary], at: Timestamp) -> Result<()>;

    /// Writes a line of the ledger, replacing the one with the same id.
    async fn record_run(&self, run: &RunRecord) -> Result<()>;

    /// The rows of a collection that a run wrote or deleted, in key order, with what undoing the run would bring back and
    /// the generation they belong to: nothing for a run that is not known. What
    /// [`UndoPolicy::Keep`](crate::UndoPolicy) has kept is told whether others have changed it since or not: rows that
    /// the run replaced or deleted, and rows that it created while they are there. One that it created and that is gone
    /// needs no undoing and is not told. Without it, rows are told while the run is who wrote them last. A vector that a
    /// replaced row had is told as long as its version is there: pruning spares it. A row that now belongs to another
    /// source is restored by deleting and writing it in one change.
    ///
    /// What is kept stays in this store: a copy of its rows into another one leaves it behind.
    ///
    /// # Errors
    /// `Corrupt` when something that was kept is damaged.
    async fn undo(
        &self,
        collection: &CollectionName,
        run: &RunId,
    ) -> Result<(Generation, Vec<UndoRow>)>;

    /// The newest runs of a collection, newest first.
    async fn runs(&self, collection: &CollectionName, limit: usize) -> Result<Vec<RunRecord>>;

    /// Every recorded run of every collection, oldest first: also of collections that never came to be.
    async fn ledger(&self) -> Result<Vec<RunRecord>>;

    /// What `prune` could free.
    async fn cache_stats(&self) -> Result<CacheStats>;

    /// Deletes vectors that no row refers to, kept ones included, and that were stored before `stored_before`; never one of a space that a
    /// version is being built in, or that has no version yet. Returns how many. Nothing but this and
    /// [`delete_version`](Self::delete_version) ever deletes a vector.
    async fn prune(&self, stored_before: Timestamp) -> Result<u64>;

    /// Hashes every row and vector again, checks lengths, references and counts. Reports, never repairs.
    async fn check(&self) -> Result<IntegrityReport>;

    /// The same store as one that searches by itself, where it can.
    fn nearest(&self) -> Option<&dyn NearestNeighbours> {
        None
    }
}
