//! What every reader yields.

use std::fmt;

use storage_core::Locator;

use crate::{FurtherColumns, SourceError, SourceLimits, data_set};

/// Everything a source held at one moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SourceSnapshot {
    /// `xlsx`, `csv`, `jsonl`; `dataset` of any format.
    pub kind: String,
    /// Where it was read from, as the user wrote it.
    pub location: String,
    /// The file's name without directories: with `kind`, what makes a moved file the same source.
    pub name: String,
    /// Whether rows bring ids.
    pub identity: Identity,
    /// The rows that can be synced, in the source's order.
    pub rows: Vec<SourceRow>,
    /// What was noticed, in the source's order.
    pub issues: Vec<RowIssue>,
    /// One line each for a person: the encoding that was sniffed, a hidden sheet that was left out.
    pub notices: Vec<String>,
}

impl SourceSnapshot {
    /// Rows that could not be taken, with the reason.
    pub fn rejected(&self) -> impl Iterator<Item = &RowIssue> {
        self.issues.iter().filter(|issue| issue.kind.rejects())
    }

    /// Whether it is a table without questions and answers, whose rows are what there is to find.
    #[must_use]
    pub fn is_data_set(&self) -> bool {
        self.kind == data_set::KIND
    }

    /// How many entries: rows without further wordings of their question.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.rows.iter().filter(|row| row.chunk == 0).count()
    }

    /// How many distinct categories the rows name.
    #[must_use]
    pub fn categories(&self) -> usize {
        self.rows
            .iter()
            .filter_map(|row| row.category.as_deref())
            .collect::<std::collections::BTreeSet<_>>()
            .len()
    }
}

/// Whether the source names its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Identity {
    /// Every row has an id of the source.
    Given,
    /// The source has no id column: the plan pairs rows by content and mints ids for new ones.
    #[default]
    Derived,
}

/// One row of a source. Texts are as the source wrote them, but trimmed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SourceRow {
    /// The source's id; present exactly when the identity is [`Identity::Given`].
    pub id: Option<String>,
    /// 0 for the entry itself, 1, 2, … for further wordings of its question.
    pub chunk: u32,
    /// The question.
    pub question: String,
    /// The answer; may be empty.
    pub answer: String,
    /// Main category.
    pub category: Option<String>,
    /// Category within the category.
    pub subcategory: Option<String>,
    /// Every other column that has a value, by its header.
    pub metadata: FurtherColumns,
    /// Sheet and row.
    pub locator: Locator,
}

/// Something that is wrong, or odd, about one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowIssue {
    /// What.
    pub kind: IssueKind,
    /// The row's id, where it has one.
    pub id: Option<String>,
    /// Sheet and row.
    pub locator: Locator,
    /// The column: its letter in a workbook, its header elsewhere.
    pub column: Option<String>,
    /// One line for a person, the row left out: "the cell holds the error #N/A".
    pub problem: String,
}

/// Kinds of row issues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum IssueKind {
    /// Neither question nor answer.
    Empty,
    /// In a source with ids, a row without one.
    MissingId,
    /// The id stands in an earlier row too.
    DuplicateId,
    /// The question stands in an earlier row too; both rows are kept.
    DuplicateQuestion,
    /// A text is longer than the limit.
    TooLong,
    /// The cell holds an error such as `#N/A`.
    ErrorCell,
    /// The text holds NUL or is not valid in the file's encoding.
    BadText,
    /// The line is not what the format asks for.
    Malformed,
}

impl IssueKind {
    /// Whether the row is left out; else the issue is a warning.
    #[must_use]
    pub fn rejects(self) -> bool {
        self != Self::DuplicateQuestion
    }
}

/// Something that rows can be read from.
pub trait FaqSource: fmt::Debug + Send {
    /// What it is and where, for messages: `workbook faq.xlsx, sheet "FAQ"`.
    fn describe(&self) -> String;

    /// Reads everything. Blocking.
    ///
    /// # Errors
    /// Only when nothing can be read; what is wrong with single rows comes back as issues.
    fn read(&mut self, limits: &SourceLimits) -> Result<SourceSnapshot, SourceError>;
}
