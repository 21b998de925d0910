//! `/models`.

use serde::Serialize;
use utoipa::ToSchema;

/// What every collection serves, and what it could.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ModelsBody {
    /// Of this contract.
    pub(crate) schema: u32,
    /// By name.
    pub(crate) collections: Vec<CollectionBody>,
}

/// One collection.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CollectionBody {
    /// Its name.
    pub(crate) name: String,
    /// Its generation.
    pub(crate) generation: u64,
    /// Rows.
    pub(crate) records: u64,
    /// Documents.
    pub(crate) documents: u64,
    /// What it serves; `null` before the first row.
    pub(crate) model: Option<wire::Model>,
    /// Why questions in words cannot be answered, if so.
    pub(crate) embedder: Option<String>,
    /// Its versions, oldest first.
    pub(crate) versions: Vec<VersionBody>,
}

/// One version of a collection.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VersionBody {
    /// Its id.
    pub(crate) id: String,
    /// `building`, `ready` or `retired`.
    pub(crate) state: String,
    /// Whether it is served.
    pub(crate) active: bool,
    /// Its model; `null` where the space is gone.
    pub(crate) model: Option<wire::Model>,
    /// Rows that have a vector in it.
    pub(crate) records: u64,
    /// The score from which on it was calibrated to answer.
    pub(crate) threshold: Option<f32>,
    /// When it was made.
    pub(crate) created_at: String,
}
