//! The vocabulary of Smart Support: what a document, a hash, a model, a vector and a change are, and the contract
//! that every store keeps.
//!
//! This crate knows no driver, no runtime and no file format. Everything above it speaks in its types, and a store
//! is whatever implements [`EmbeddingStore`] and passes the conformance suite in `testing`.
//!
//! The kernel of the design: **vectors are stored by content, invisible until one short transaction moves the
//! rows.** [`EmbeddingStore::put_embeddings`] makes a paid vector durable at once; [`EmbeddingStore::apply`] is the
//! only moment in which a reader sees anything change.

mod change;
mod document;
mod embed_text;
mod error;
mod filter;
pub mod guard;
mod hash;
mod import;
mod integrity;
mod memory;
mod metadata;
mod migration;
mod model;
mod names;
mod nearest;
mod rules;
mod store;
mod undo;
mod upkeep;
mod vector;

#[cfg(feature = "testing")]
pub mod testing;

pub use change::{
    Applied, ChangeSet, Fingerprint, Generation, Relocation, Row, RunKind, RunRecord, RunState,
    Source, Spend,
};
pub use document::{Document, DocumentKey, EmbeddingRecord, Locator};
pub use embed_text::{EmbedText, EmbedTextError, NORMALISER, normalise};
pub use error::{Result, StoreError, StoreErrorKind};
pub use filter::{Comparison, Filter, MetadataPredicate};
pub use hash::{ContentHash, HashParseError, InputHash, RecordHash};
pub use import::{
    IMPORT_KINDS, ImportError, ImportErrorKind, ImportFault, ImportSource, Imported,
    ImportedCollection, ImportedRecord, Metric,
};
pub use integrity::{Check, Faults, IntegrityReport, RowFindings, check_names};
pub use memory::MemoryStore;
pub use metadata::{MetadataValue, metadata_from_json, metadata_to_json};
pub use migration::{Migration, MigrationError, PendingMigrations, SchemaStatus, pending};
pub use model::{
    Binding, Canaries, Canary, EmbeddingModel, EmbeddingSpace, ModelSpec, SpaceId, VectorKey,
    Version, VersionId, VersionSpec, VersionState,
};
pub use names::{CollectionName, NameError, RunId, SourceId, Timestamp, mint_document_id};
pub use nearest::{
    Effort, FoundBy, IndexPlan, IndexProgress, IndexReport, IndexStatus, Nearest,
    NearestNeighbours, NearestQuery,
};
pub use rules::{check_canaries, check_document, kept_for};
pub use store::{
    CacheStats, CategoryCount, CollectionStatus, EmbeddingStore, Freed, KeptVector, ReadFrom,
    StoreBytes, StoreStatus, StoredVector, VersionNote,
};
pub use undo::{KeptRow, UndoPolicy, UndoRow};
pub use upkeep::{CopyReport, DamagedRow, RepairReport};
pub use vector::{Embedding, EmbeddingError};
