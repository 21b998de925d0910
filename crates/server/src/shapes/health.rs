//! Probes.

use serde::Serialize;
use utoipa::ToSchema;

/// The process is alive.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// `alive`.
    pub(crate) status: &'static str,
}

/// Whether questions can be answered, and from what.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Readiness {
    /// `ready` or `degraded`.
    pub(crate) status: &'static str,
    /// Why it is degraded.
    pub(crate) reason: Option<String>,
    /// The store's generation that is served.
    pub(crate) generation: u64,
    /// Rows in memory.
    pub(crate) rows: usize,
    /// When they were read.
    pub(crate) loaded_at: String,
}
