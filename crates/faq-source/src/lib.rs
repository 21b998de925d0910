//! Reads FAQ workbooks, CSV and JSON lines into rows and row issues.
//!
//! A source yields values plus a list of issues with sheet, row and column, not the first failure; only a source that
//! cannot be read at all is an error. Nothing here writes, and files are hostile: every reader has limits.
//!
//! [`open`] looks at a file's name and first bytes and picks the reader. Every reader feeds the same two places:
//! `columns` decides which header is the question, the answer, the id, and `collect` checks one row after the other.

mod collect;
mod columns;
mod data_set;
#[cfg(feature = "csv")]
mod delimited;
#[cfg(not(feature = "csv"))]
#[path = "delimited_absent.rs"]
mod delimited;
mod error;
mod further;
mod input;
mod json;
mod limits;
mod lint;
mod rows;
mod snapshot;
mod suggest;
mod table;
#[cfg(test)]
mod testing;
#[cfg(feature = "xlsx")]
mod xlsx;
#[cfg(not(feature = "xlsx"))]
#[path = "xlsx_absent.rs"]
mod xlsx;

pub use error::{SourceError, SourceErrorKind};
pub use further::FurtherColumns;
pub use input::{SourceOptions, open, open_bytes};
pub use limits::{SourceLimits, WorkbookLimits};
pub use lint::{Finding, FindingKind, Length, LintOptions, counts, lint};
pub use rows::{Cell, Rows, RowsOrigin};
pub use snapshot::{FaqSource, Identity, IssueKind, RowIssue, SourceRow, SourceSnapshot};
pub use suggest::{list, nearest};

/// Name of the thread that runs the workbook parser, which is not ours. It may panic on a damaged file; that comes back
/// as an error, and a panic hook need not report it.
pub const PARSER_THREAD: &str = "workbook parser";
