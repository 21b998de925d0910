//! What is wrong, or odd, with a source before money is spent on it: findings with the row they are in.
//!
//! A finding is for the person who keeps the source, so each check would rather miss something than cry wolf. Whatever the
//! reader itself noticed is among them. Nothing here reads a file or asks a model: what a model takes at most is passed in.

mod categories;
mod questions;
mod texts;

use std::collections::BTreeMap;
use std::fmt;

use storage_core::Locator;

use crate::{IssueKind, RowIssue, SourceRow, SourceSnapshot};

/// What a finding is about. The names are part of the contract of `lint`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FindingKind {
    /// The id stands in an earlier row too; the row is not read.
    DuplicateId,
    /// Other rows have an id; the row is not read.
    MissingId,
    /// Question and answer stand in an earlier row too.
    DuplicateQuestion,
    /// An earlier row asks the same and answers otherwise.
    ConflictingAnswers,
    /// An earlier row asks nearly the same, in other words or with a slip, and answers otherwise.
    NearDuplicate,
    /// An answer without its question.
    EmptyQuestion,
    /// A question without its answer.
    EmptyAnswer,
    /// Neither question nor answer; the row is not read.
    Empty,
    /// Longer than what the reader takes; the row is not read.
    TooLong,
    /// Longer than what the model reads: the rest would not be found.
    OverLong,
    /// A word of Latin and Cyrillic letters.
    MixedScript,
    /// Tags or entities that belong to a web page.
    Html,
    /// Characters that nobody sees inside a text.
    Invisible,
    /// A rare category that is nearly, or but for its case, a frequent one.
    CategoryTypo,
    /// The cell holds an error such as `#N/A`; the row is not read.
    ErrorCell,
    /// The text cannot be decoded or stored; the row is not read.
    BadText,
    /// The line is not what the format asks for; it is not read.
    Malformed,
}

impl FindingKind {
    /// Every kind.
    pub const ALL: [Self; 17] = [
        Self::DuplicateId,
        Self::MissingId,
        Self::DuplicateQuestion,
        Self::ConflictingAnswers,
        Self::NearDuplicate,
        Self::EmptyQuestion,
        Self::EmptyAnswer,
        Self::Empty,
        Self::TooLong,
        Self::OverLong,
        Self::MixedScript,
        Self::Html,
        Self::Invisible,
        Self::CategoryTypo,
        Self::ErrorCell,
        Self::BadText,
        Self::Malformed,
    ];

    /// Its name in reports and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DuplicateId => "duplicate-id",
            Self::MissingId => "missing-id",
            Self::DuplicateQuestion => "duplicate-question",
            Self::ConflictingAnswers => "conflicting-answers",
            Self::NearDuplicate => "near-duplicate",
            Self::EmptyQuestion => "empty-question",
            Self::EmptyAnswer => "empty-answer",
            Self::Empty => "empty",
            Self::TooLong => "too-long",
            Self::OverLong => "over-long",
            Self::MixedScript => "mixed-script",
            Self::Html => "html",
            Self::Invisible => "invisible",
            Self::CategoryTypo => "category-typo",
            Self::ErrorCell => "error-cell",
            Self::BadText => "bad-text",
            Self::Malformed => "malformed",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    fn of(issue: IssueKind) -> Option<Self> {
        Some(match issue {
            IssueKind::Empty => Self::Empty,
            IssueKind::MissingId => Self::MissingId,
            IssueKind::DuplicateId => Self::DuplicateId,
            IssueKind::TooLong => Self::TooLong,
            IssueKind::ErrorCell => Self::ErrorCell,
            IssueKind::BadText => Self::BadText,
            IssueKind::Malformed => Self::Malformed,
            // Looked at again here, together with the answers.
            IssueKind::DuplicateQuestion => return None,
        })
    }
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One thing that a person should look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub kind: FindingKind,
    /// Sheet and row.
    pub locator: Locator,
    /// The field, or where the reader noticed it the column as it names columns.
    pub column: Option<String>,
    /// The row's id, where it has one.
    pub id: Option<String>,
    /// One line for a person, the row left out.
    pub message: String,
    /// Position of the row among those that were read; `None` for one that was not.
    pub row: Option<usize>,
}

/// How long a row may be for the model that will embed it.
pub struct Length<'a> {
    /// Tokens that the model reads at most.
    pub limit: u64,
    /// The model, for the message.
    pub model: &'a str,
    /// Tokens of a row, counted or guessed.
    pub tokens: &'a dyn Fn(&SourceRow) -> u64,
}

/// What a source is compared with.
#[derive(Default)]
pub struct LintOptions<'a> {
    /// The length that the model takes, where it is known.
    pub length: Option<Length<'a>>,
}

/// Looks at every row, and at the rows among each other. Findings come in the order of the rows.
#[must_use]
pub fn lint(snapshot: &SourceSnapshot, options: &LintOptions<'_>) -> Vec<Finding> {
    let mut findings: Vec<Finding> = snapshot.issues.iter().filter_map(noticed).collect();
    // Chunks of documents are texts of their own, with or without a heading.
    let passages = snapshot.rows.iter().any(|row| row.locator.span.is_some());
    if !snapshot.is_data_set() && !passages {
        missing_halves(&snapshot.rows, &mut findings);
        questions::check(&snapshot.rows, &mut findings);
        categories::check(&snapshot.rows, &mut findings);
    }
    let rows = || snapshot.rows.iter().enumerate();
    for (position, row) in rows().filter(|(_, row)| passages || row.chunk == 0) {
        if let Some(length) = &options.length {
            let tokens = (length.tokens)(row);
            if tokens > length.limit {
                findings.push(Finding::new(
                    FindingKind::OverLong,
                    (position, row),
                    None,
                    format!(
                        "about {tokens} tokens; {} reads the first {}",
                        length.model, length.limit
                    ),
                ));
            }
        }
        texts::check((position, row), &mut findings);
    }
    // Further wordings of a question are rows of their own, behind the entry.
    for (position, row) in rows().filter(|(_, row)| !passages && row.chunk > 0) {
        texts::check_question((position, row), &mut findings);
    }
    findings.sort_by(|left, right| {
        let place = |finding: &Finding| (finding.locator.row, finding.row, finding.kind);
        place(left).cmp(&place(right))
    });
    findings
}

/// How many findings of each kind.
#[must_use]
pub fn counts(findings: &[Finding]) -> BTreeMap<FindingKind, usize> {
    let mut counts = BTreeMap::new();
    for finding in findings {
        *counts.entry(finding.kind).or_default() += 1;
    }
    counts
}

impl Finding {
    fn new(
        kind: FindingKind,
        (position, row): (usize, &SourceRow),
        column: Option<&str>,
        message: String,
    ) -> Self {
        Self {
            kind,
            locator: row.locator.clone(),
            column: column.map(str::to_owned),
            id: row.id.clone(),
            message,
            row: Some(position),
        }
    }
}

fn noticed(issue: &RowIssue) -> Option<Finding> {
    Some(Finding {
        kind: FindingKind::of(issue.kind)?,
        locator: issue.locator.clone(),
        column: issue.column.clone(),
        id: issue.id.clone(),
        message: issue.problem.clone(),
        row: None,
    })
}

/// The entries with their positions, without further wordings.
fn entries(rows: &[SourceRow]) -> impl Iterator<Item = (usize, &SourceRow)> {
    rows.iter().enumerate().filter(|(_, row)| row.chunk == 0)
}

/// Rows without a question or without an answer, in a source where others have one.
fn missing_halves(rows: &[SourceRow], findings: &mut Vec<Finding>) {
    for (kind, name) in [
        (FindingKind::EmptyQuestion, "question"),
        (FindingKind::EmptyAnswer, "answer"),
    ] {
        let lacks = |row: &SourceRow| match kind {
            FindingKind::EmptyQuestion => row.question.is_empty(),
            _ => row.answer.is_empty(),
        };
        if rows.iter().all(lacks) {
            continue;
        }
        for (position, row) in entries(rows).filter(|(_, row)| lacks(row)) {
            let message = format!("the {name} is empty");
            findings.push(Finding::new(kind, (position, row), Some(name), message));
        }
    }
}

/// How another row is named: by its number, else by its id.
fn other(row: &SourceRow) -> String {
    match (row.locator.row, &row.id) {
        (Some(number), _) => format!("row {number}"),
        (None, Some(id)) => format!("row {id:?}"),
        (None, None) => "another row".to_owned(),
    }
}

#[cfg(test)]
mod tests;
