//! Reads FAQ workbooks, CSV and JSON lines into rows and row issues.
//!
//! A source yields values plus a list of issues with sheet, row and column, not the first failure; only a source that
//! cannot be read at all is an error. Nothing here writes, and files are hostile: every reader has limits.

mod error;
mod snapshot;

pub use error::{SourceError, SourceErrorKind};
pub use snapshot::{
    FaqSource, Identity, IssueKind, RowIssue, SourceLimits, SourceRow, SourceSnapshot,
};
