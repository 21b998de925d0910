//! What a running service says of its index.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The index of a running service beside the store that it is read from.
#[derive(Debug, Serialize)]
pub(crate) struct RunningService {
    pub(crate) url: String,
    #[serde(flatten)]
    pub(crate) index: IndexState,
}

/// What a running service says of its index.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct IndexState {
    pub(crate) in_step: bool,
    pub(crate) generation: u64,
    pub(crate) collections: Vec<CollectionDrift>,
}

/// Rows in which index and store differ.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CollectionDrift {
    pub(crate) collection: String,
    pub(crate) rows: u64,
    pub(crate) without_vector: u64,
    pub(crate) missing: DriftedRows,
    pub(crate) ghost: DriftedRows,
    pub(crate) stale: DriftedRows,
}

/// How many rows, and the first of them.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DriftedRows {
    pub(crate) count: u64,
    pub(crate) rows: Vec<DriftedRow>,
}

/// Which row.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DriftedRow {
    pub(crate) document_id: String,
    pub(crate) chunk_index: u32,
}

impl fmt::Display for RunningService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |of: fn(&CollectionDrift) -> u64| -> u64 {
            self.index.collections.iter().map(of).sum()
        };
        let missing = count(|drift| drift.missing.count);
        let ghosts = count(|drift| drift.ghost.count);
        let stale = count(|drift| drift.stale.count);
        let without = count(|drift| drift.without_vector);
        write!(f, "generation {}, ", self.index.generation)?;
        if missing + ghosts + stale + without == 0 {
            return write!(f, "{} rows, all as stored", count(|drift| drift.rows));
        }
        write!(
            f,
            "of the store's rows {missing} were missing in the index, {ghosts} were no longer stored and {stale} not \
             alike"
        )?;
        if without > 0 {
            write!(
                f,
                "; {without} rows of the store have no vector (smart-support repair)"
            )?;
        }
        Ok(())
    }
}
