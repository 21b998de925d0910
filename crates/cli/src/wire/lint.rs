//! What `lint` found, as programs see it.

use std::collections::BTreeMap;

use faq_source::{Finding, SourceSnapshot};
use serde::Serialize;

/// `lint --json`.
#[derive(Debug, Serialize)]
pub(crate) struct Lint<'a> {
    source: &'a str,
    /// Rows that were read; those left out are among the findings.
    rows: usize,
    findings: Vec<Line<'a>>,
    counts: BTreeMap<&'static str, usize>,
}

#[derive(Debug, Serialize)]
struct Line<'a> {
    kind: &'static str,
    sheet: Option<&'a str>,
    row: Option<u64>,
    /// Of a document: the page, from 1, and the piece, from 0.
    page: Option<u32>,
    chunk: Option<u32>,
    column: Option<&'a str>,
    id: Option<&'a str>,
    message: &'a str,
}

impl<'a> Lint<'a> {
    pub(crate) fn of(snapshot: &'a SourceSnapshot, findings: &'a [Finding]) -> Self {
        let lines = findings.iter().map(|finding| Line {
            kind: finding.kind.as_str(),
            sheet: finding.locator.sheet.as_deref(),
            row: finding.locator.row,
            page: finding.locator.page,
            chunk: chunk(snapshot, finding),
            column: finding.column.as_deref(),
            id: finding.id.as_deref(),
            message: &finding.message,
        });
        let counts = faq_source::counts(findings).into_iter();
        Self {
            source: &snapshot.location,
            rows: snapshot.entries(),
            findings: lines.collect(),
            counts: counts.map(|(kind, count)| (kind.as_str(), count)).collect(),
        }
    }
}

/// Which piece of its document a finding is in; `None` for a row of a table, which is whole, and for what was not read.
pub(crate) fn chunk(snapshot: &SourceSnapshot, finding: &Finding) -> Option<u32> {
    let row = snapshot.rows.get(finding.row?)?;
    (row.locator.row.is_none() || row.chunk > 0).then_some(row.chunk)
}
