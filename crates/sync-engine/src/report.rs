//! What a sync did.

use faq_source::RowIssue;
use storage_core::{EmbeddingModel, Generation, Locator};

use crate::SyncPlan;

/// How a sync ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SyncMode {
    /// The collection had no rows of this source.
    Initial,
    /// Only what changed.
    Incremental,
    /// A new version of everything.
    Forced,
}

/// A row that was left out, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedRow {
    /// Its id, where it has one.
    pub id: Option<String>,
    /// Where it stands.
    pub locator: Locator,
    /// The column, where one is to blame.
    pub column: Option<String>,
    /// Why.
    pub reason: String,
}

impl From<&RowIssue> for FailedRow {
    fn from(issue: &RowIssue) -> Self {
        Self {
            id: issue.id.clone(),
            locator: issue.locator.clone(),
            column: issue.column.clone(),
            reason: issue.problem.clone(),
        }
    }
}

/// Wall seconds a phase took.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PhaseSeconds {
    /// Comparing with the store.
    pub plan: f64,
    /// Embedding, and storing vectors meanwhile.
    pub embed: f64,
    /// The transaction.
    pub store: f64,
}

/// What a sync did, in rows unless said otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct SyncReport {
    /// How it ran.
    pub mode: SyncMode,
    /// Rows of the source that could be read.
    pub total: usize,
    /// Rows that were not there.
    pub added: usize,
    /// Rows whose embedded text changed.
    pub modified: usize,
    /// Rows that changed, but not in their embedded text.
    pub relabelled: usize,
    /// Rows that got another id and nothing else.
    pub renamed: usize,
    /// Rows that are gone.
    pub deleted: usize,
    /// Rows that the source no longer shows, kept because it could not be read in full.
    pub withheld: usize,
    /// Rows that stayed as they were.
    pub unchanged: usize,
    /// Rows that were left out.
    pub failed: Vec<FailedRow>,
    /// Texts sent to the embedder and answered.
    pub embedded: usize,
    /// Texts that needed a vector and had one already.
    pub reused: usize,
    /// API calls, failed attempts included.
    pub requests: u64,
    /// Tokens billed, where the provider says.
    pub tokens: u64,
    /// The collection's generation afterwards.
    pub generation: Generation,
    /// The model the collection serves; `None` while it has no row.
    pub model: Option<EmbeddingModel>,
    /// Seconds.
    pub seconds: PhaseSeconds,
    /// Whether anything visible changed.
    pub applied: bool,
}

impl SyncReport {
    /// What a plan would do, with nothing spent yet.
    #[must_use]
    pub fn of_plan(plan: &SyncPlan) -> Self {
        Self {
            mode: plan.mode,
            total: plan.total,
            added: plan.added(),
            modified: plan.modified(),
            relabelled: plan.relabelled(),
            renamed: plan.renamed(),
            deleted: plan.deletes.len(),
            withheld: plan.withheld,
            unchanged: plan.unchanged,
            failed: plan.failed.clone(),
            embedded: 0,
            reused: 0,
            requests: 0,
            tokens: 0,
            generation: plan.base,
            model: plan.target.model().cloned(),
            seconds: PhaseSeconds::default(),
            applied: false,
        }
    }

    /// Rows of the source that are served now, as a share of all its rows, failed ones included: 0 to 1.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "row counts are far below 2^52")]
    pub fn coverage(&self) -> f64 {
        let served = self.added + self.modified + self.relabelled + self.renamed + self.unchanged;
        let all = served + self.failed.len();
        if all == 0 {
            1.0
        } else {
            served as f64 / all as f64
        }
    }
}
