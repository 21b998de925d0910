//! What an import did.

use storage_core::{
    CollectionName, EmbedText, EmbeddingModel, Generation, ImportFault, ImportedCollection, Metric,
    RunId,
};

use super::{ImportOptions, ModelCheck, Verified};

/// Wall seconds a part took.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ImportSeconds {
    /// Reading the source and storing its vectors.
    pub migrate: f64,
    /// The transaction.
    pub store: f64,
    /// Reading back and comparing.
    pub verify: f64,
}

/// What an import did, in records unless said otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportReport {
    /// What a rollback is asked for.
    pub run: RunId,
    /// The collection that was filled.
    pub collection: CollectionName,
    /// What wrote the source: `chroma`, `faiss`, ….
    pub kind: &'static str,
    /// The source's own name of what was read.
    pub name: String,
    /// Where it is.
    pub location: String,
    /// How the source compares vectors.
    pub metric: Metric,
    /// Records by the source's own count: what coverage is measured against.
    pub source_total: u64,
    /// Records that the source gave, faulty ones included.
    pub seen: u64,
    /// Rows that were not there.
    pub added: u64,
    /// Rows that were there and differed.
    pub replaced: u64,
    /// Rows that were there already, word for word and bit for bit.
    pub unchanged: u64,
    /// Records whose id had been seen before.
    pub duplicates: u64,
    /// Records whose id belongs to another source's row that differs, written over or not.
    pub conflicts: u64,
    /// Moved or present rows that have no text: they can be searched, and never embedded again.
    pub without_text: u64,
    /// Rows of this source that it does not hold any longer: they stay.
    pub gone: u64,
    /// Records that did not move, and why.
    pub faults: Vec<ImportFault>,
    /// How the vectors differ from what was written into the source; `None` where they are exact.
    pub lossy: Option<String>,
    /// What else is to be known of the source.
    pub notes: Vec<String>,
    /// The model that the vectors are of; `None` for a source without records.
    pub model: Option<EmbeddingModel>,
    /// The recipe of the rows' texts; `None` for a source without records.
    pub embed_text: Option<EmbedText>,
    /// By which road the model is asked; `import` where nobody knows.
    pub provider: String,
    /// API calls made to ask it whether the vectors are its own.
    pub requests: u64,
    /// Whether the provider was asked if it is that model.
    pub check: ModelCheck,
    /// What reading back found; `None` when it was not done.
    pub verified: Option<Verified>,
    /// The collection's generation afterwards; `None` when nothing was written.
    pub generation: Option<Generation>,
    /// Whether the run before this one was cut off.
    pub resumed: bool,
    /// Whether anything visible changed.
    pub applied: bool,
    /// Seconds.
    pub seconds: ImportSeconds,
}

impl ImportReport {
    pub(super) fn new(source: &ImportedCollection, options: &ImportOptions, run: &RunId) -> Self {
        Self {
            run: run.clone(),
            collection: options.collection.clone(),
            kind: source.kind,
            name: source.name.clone(),
            location: source.location.clone(),
            metric: source.metric,
            source_total: source.total,
            seen: 0,
            added: 0,
            replaced: 0,
            unchanged: 0,
            duplicates: 0,
            conflicts: 0,
            without_text: 0,
            gone: 0,
            faults: Vec::new(),
            lossy: source.lossy.clone(),
            notes: source.notes.clone(),
            model: None,
            embed_text: None,
            provider: String::new(),
            requests: 0,
            check: ModelCheck::NotAsked,
            verified: None,
            generation: None,
            resumed: false,
            applied: false,
            seconds: ImportSeconds::default(),
        }
    }

    /// A source that gives other than it counts has not been read in full, whatever the reason.
    pub(super) fn count_against_source(&mut self) {
        if self.seen != self.source_total {
            self.faults.push(ImportFault {
                id: None,
                row: None,
                reason: format!(
                    "the source counts {} records and gave {}: is somebody writing to it?",
                    self.source_total, self.seen
                ),
            });
        }
    }

    /// Records of the source that are rows of the collection now, as a share of the source's own count: 0 to 1.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "row counts are far below 2^52")]
    pub fn coverage(&self) -> f64 {
        let served = self.added + self.replaced + self.unchanged;
        match self.source_total {
            0 => 1.0,
            total => (served as f64 / total as f64).min(1.0),
        }
    }
}
