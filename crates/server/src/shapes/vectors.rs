//! `/vectors`: the keys that the clients of a hybrid vector store know.

use serde::Serialize;
use utoipa::ToSchema;

/// How much there is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StatsBody {
    pub(crate) total_vectors: usize,
    pub(crate) total_documents: usize,
    /// In the order of the ids.
    pub(crate) per_document: Vec<DocumentStats>,
}

/// How much there is of one document.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DocumentStats {
    pub(crate) document_id: String,
    pub(crate) vector_count: usize,
    /// Characters of its chunks together.
    pub(crate) total_chars: usize,
}

/// A document in its chunks.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DocumentBody {
    pub(crate) document_id: String,
    pub(crate) chunk_count: usize,
    pub(crate) chunks: Vec<ChunkBody>,
}

/// A chunk of a document.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChunkBody {
    /// A number made of the document's id and the chunk's: the same for as long as both are.
    pub(crate) id: u64,
    pub(crate) chunk_index: u32,
    /// Its first 200 characters.
    pub(crate) text_preview: String,
    /// Characters.
    pub(crate) text_length: usize,
    /// Its position in the index that is served now.
    pub(crate) faiss_index: usize,
    /// When it was written, by its source's own account; else when the version was made that serves it.
    pub(crate) created_at: String,
}

/// What was deleted.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeletedBody {
    pub(crate) document_id: String,
    /// Chunks.
    pub(crate) deleted: usize,
    /// Which source the document was of.
    pub(crate) source: String,
    /// Whether the next sync of that source brings it back, if it still holds it.
    pub(crate) returns: bool,
    /// Whether searches know: `false` while the index is behind the store.
    pub(crate) served: bool,
}

/// What the index and the store do not agree on.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DriftBody {
    /// Of this contract.
    pub(crate) schema: u32,
    /// Whether they agree on every row.
    pub(crate) in_step: bool,
    /// The store's generation that is served.
    pub(crate) generation: u64,
    /// The store's generation.
    pub(crate) store_generation: u64,
    /// By name.
    pub(crate) collections: Vec<CollectionDrift>,
}

/// What a rebuild changed in the index.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RebuildBody {
    /// Of this contract.
    pub(crate) schema: u32,
    /// Whether the index was as it should be.
    pub(crate) in_step: bool,
    /// The store's generation that is served.
    pub(crate) generation: u64,
    /// Milliseconds from the request to the new index.
    pub(crate) ms: f64,
    /// By name: what the index lacked, what it had too much and what it had otherwise.
    pub(crate) collections: Vec<CollectionDrift>,
}

/// One collection.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CollectionDrift {
    /// Its name.
    pub(crate) collection: String,
    /// Rows of the index; after a rebuild, of the new one.
    pub(crate) rows: usize,
    /// Rows of the store that have no vector there, which no index can show: `repair` mends them.
    pub(crate) without_vector: u64,
    /// In the store, not in the index.
    pub(crate) missing: RowsBody,
    /// In the index, no longer in the store.
    pub(crate) ghost: RowsBody,
    /// In both, and not alike.
    pub(crate) stale: RowsBody,
}

/// Rows of one kind.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RowsBody {
    /// How many.
    pub(crate) count: usize,
    /// The first hundred.
    pub(crate) rows: Vec<RowName>,
}

/// Which row.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RowName {
    pub(crate) document_id: String,
    pub(crate) chunk_index: u32,
}
