//! Plans and executes changes: the only writer of change sets.
//!
//! [`Draft`] and [`SyncPlan`] are pure: they compare what a store remembers with what a source says, and decide.
//! [`sync`] does the rest in a fixed order: vectors first, each batch durable before it counts, then one transaction
//! that readers see. A run that is cut off at any point has changed nothing visible and paid for nothing twice.

mod build;
mod canary;
mod companion;
mod copy;
mod diff;
mod draft;
mod error;
mod estimate;
mod execute;
mod import;
mod ledger;
mod pairing;
mod plan;
mod policy;
mod progress;
mod remove;
mod report;
mod run;
mod source_identity;
mod target;
mod work;

pub use build::{
    BuildOptions, BuildPlan, BuildReport, build, prepare_build, require_finished, stale_rows,
    switch,
};
pub use canary::{CanaryReport, LEAST_COSINE, check_provider};
pub use companion::Companion;
pub use copy::{
    Copied, CopyOptions, CopyPlan, CopyProgress, PlannedCollection, QuietCopy, copy, plan_copy,
};
pub use diff::{
    CollectionDifference, Depth, DiffOptions, Fact, Field, RowDifference, Side, StoreDifference,
    diff,
};
pub use draft::{Draft, Stored};
pub use error::{SyncError, SyncErrorKind};
pub use estimate::{Estimate, Pace, TokensBy, estimated_tokens};
pub use execute::{Prepared, SyncContext, prepare, sync, sync_if};
pub use import::{
    FieldMap, IMPORTED, ImportContext, ImportOptions, ImportPlan, ImportProgress, ImportReport,
    ImportSeconds, ModelCheck, NoImportProgress, RollbackReport, Verified, import, imported_model,
    rollback_import,
};
pub use plan::{Change, PlannedRow, SyncPlan};
pub use policy::{DeleteAllowance, Selection, SyncPolicy};
pub use progress::{NoProgress, Progress};
pub use remove::{Removed, remove_document};
pub use report::{FailedRow, PhaseSeconds, SyncMode, SyncReport};
pub use source_identity::{UPLOAD, source_id};
pub use target::Target;
