//! What a sync tells while it runs.

use crate::SyncPlan;

/// Hears how a sync gets on. Every method has an empty default; none may block.
pub trait Progress: Send + Sync {
    /// The plan is made, nothing is written yet.
    fn planned(&self, _plan: &SyncPlan) {}
    /// Of the texts that need a vector, so many are stored already and so many will be sent. `resumed` tells that the
    /// run before this one did not get to its end.
    fn embedding(&self, _reused: usize, _to_embed: usize, _resumed: bool) {}
    /// So many more texts have their vector.
    fn embedded(&self, _texts: usize) {}
    /// So many more vectors are on disk.
    fn stored(&self, _vectors: usize) {}
    /// Vectors are complete; the rows are about to move, in one transaction.
    fn applying(&self, _rows: usize) {}
    /// Another writer came first; the plan is made again.
    fn conflict(&self) {}
}

/// Hears and says nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl Progress for NoProgress {}
