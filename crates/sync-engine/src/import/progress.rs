//! What an import tells while it runs.

use storage_core::EmbeddingModel;

/// What an import is about to do, before the first record is moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportPlan {
    /// Records of the source, by its own count.
    pub total: u64,
    /// Records a batch.
    pub batch: u64,
    /// The model that the vectors are of.
    pub model: EmbeddingModel,
    /// Rows that the collection has.
    pub records_there: u64,
    /// Whether the collection serves nothing yet.
    pub new_collection: bool,
}

impl ImportPlan {
    /// How many batches that takes.
    #[must_use]
    pub fn batches(&self) -> u64 {
        self.total.div_ceil(self.batch.max(1))
    }
}

/// Hears how an import gets on. Every method has an empty default; none may block.
pub trait ImportProgress: Send + Sync {
    /// It is decided where the records go.
    fn planned(&self, _plan: &ImportPlan) {}
    /// The run before this one did not get to its end; what it stored is not stored again.
    fn resuming(&self) {}
    /// A batch is being moved: its number, from 1, and its records.
    fn batch(&self, _number: u64, _records: u64) {}
    /// Records read so far, how many of them move, and how many cannot.
    fn moved(&self, _seen: u64, _moving: u64, _faulty: u64) {}
    /// Vectors are complete; so many rows are about to move, in one transaction.
    fn applying(&self, _rows: usize) {}
    /// What was written is about to be read back.
    fn verifying(&self) {}
}

/// Hears and says nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoImportProgress;

impl ImportProgress for NoImportProgress {}
