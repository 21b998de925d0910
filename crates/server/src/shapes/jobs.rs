//! `/jobs`.

use serde::Serialize;
use utoipa::ToSchema;

/// Jobs that are remembered, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobsBody {
    /// Of this contract.
    pub(crate) schema: u32,
    /// At most a hundred.
    pub(crate) jobs: Vec<JobBody>,
}

/// Something that changes what is stored, and how it gets on.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct JobBody {
    /// Its id.
    pub(crate) id: String,
    /// `documents`, `vectors` or `sync`.
    pub(crate) kind: &'static str,
    /// `waiting`, `running`, `done`, `failed` or `stopped`. Done: what it wrote is what searches find.
    pub(crate) state: &'static str,
    /// The collection it writes into.
    pub(crate) collection: String,
    /// The document, where it is of one.
    pub(crate) document_id: Option<String>,
    /// How far it is.
    pub(crate) progress: ProgressBody,
    /// When it was taken.
    pub(crate) created_at: String,
    /// When it began.
    pub(crate) started_at: Option<String>,
    /// When it ended.
    pub(crate) finished_at: Option<String>,
    /// What it did, once it is done.
    pub(crate) result: Option<JobResult>,
    /// Why it was not done.
    pub(crate) problem: Option<JobProblem>,
}

/// How far a job is, in texts.
#[derive(Debug, Clone, Copy, Default, Serialize, ToSchema)]
pub(crate) struct ProgressBody {
    /// Those that need a vector and have one already.
    pub(crate) reused: usize,
    /// Those that are sent to the provider.
    pub(crate) to_embed: usize,
    /// Those of them that have been answered.
    pub(crate) embedded: usize,
    /// Those of them whose vector is on disk.
    pub(crate) stored: usize,
}

/// What a job did, in rows unless said otherwise.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub(crate) struct JobResult {
    /// Rows of what was sent that are served now.
    pub(crate) synced: usize,
    /// Rows that were not there.
    pub(crate) added: usize,
    /// Rows whose text changed.
    pub(crate) modified: usize,
    /// Rows that changed, but not in their text.
    pub(crate) relabelled: usize,
    /// Rows that got another id and nothing else.
    pub(crate) renamed: usize,
    /// Rows that are gone.
    pub(crate) deleted: usize,
    /// Rows that stayed because what they come from could not be read in full.
    pub(crate) withheld: usize,
    /// Rows that stayed as they were.
    pub(crate) unchanged: usize,
    /// Texts that were sent to the provider.
    pub(crate) embedded: usize,
    /// Texts that needed a vector and had one.
    pub(crate) reused: usize,
    /// Calls to the provider.
    pub(crate) requests: u64,
    /// Tokens billed, where the provider says.
    pub(crate) tokens: u64,
    /// Rows that were left out.
    pub(crate) failed_count: usize,
    /// The first hundred of them, and why.
    pub(crate) failed: Vec<FailedBody>,
    /// What was noticed while reading: the first hundred.
    pub(crate) notices: Vec<String>,
    /// The collection's generation afterwards.
    pub(crate) generation: u64,
}

/// Something that was left out.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct FailedBody {
    /// Its id, where it has one.
    pub(crate) id: Option<String>,
    /// Its row.
    pub(crate) row: Option<u64>,
    /// Its page, from 1.
    pub(crate) page: Option<u32>,
    /// Why.
    pub(crate) reason: String,
}

/// Why a job was not done.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct JobProblem {
    /// Stable word for programs, as in errors.
    pub(crate) code: &'static str,
    /// What went wrong, and what to do about it.
    pub(crate) detail: String,
}
