//! What goes through the pipes: a line of JSON and the document's bytes one way, one JSON document the other.

use std::time::Duration;

use faq_source::{SourceError, SourceErrorKind};
use serde::{Deserialize, Serialize};

use super::broke_off;
use crate::{DocumentKind, DocumentLimits, Extracted, FailedPage, Piece};

/// Notices of one document that are told.
const NOTICES: usize = 50;
/// Characters of a notice, or of a reason.
const LINE: usize = 400;
/// Bytes of a heading's path.
const HEADING: usize = 16 << 10;

#[derive(Serialize, Deserialize)]
struct Request {
    kind: String,
    file_bytes: u64,
    pages: u32,
    text_bytes: u64,
    part_bytes: u64,
    total_bytes: u64,
    parts: usize,
    ratio: u64,
    memory: u64,
    cpu_seconds: u64,
}

pub(super) fn request(kind: DocumentKind, limits: &DocumentLimits) -> Vec<u8> {
    let request = Request {
        kind: kind.name().to_owned(),
        file_bytes: limits.file_bytes,
        pages: limits.pages,
        text_bytes: limits.text_bytes,
        part_bytes: limits.part_bytes,
        total_bytes: limits.total_bytes,
        parts: limits.parts,
        ratio: limits.ratio,
        memory: limits.child_memory,
        cpu_seconds: limits.child_cpu.as_secs(),
    };
    let mut line = serde_json::to_vec(&request).unwrap_or_default();
    line.push(b'\n');
    line
}

pub(super) fn asked(line: &[u8]) -> Option<(DocumentKind, DocumentLimits)> {
    let request: Request = serde_json::from_slice(line).ok()?;
    let limits = DocumentLimits {
        file_bytes: request.file_bytes,
        pages: request.pages,
        text_bytes: request.text_bytes,
        part_bytes: request.part_bytes,
        total_bytes: request.total_bytes,
        parts: request.parts,
        ratio: request.ratio,
        child_memory: request.memory,
        child_cpu: Duration::from_secs(request.cpu_seconds),
        ..DocumentLimits::default()
    };
    Some((DocumentKind::named(&request.kind)?, limits))
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Text(Text),
    Refusal { kind: Kind, message: String },
}

#[derive(Serialize, Deserialize)]
struct Text {
    text: String,
    /// Where each piece ends, its page, its heading.
    pieces: Vec<(usize, Option<u32>, String)>,
    title: Option<String>,
    pages: Option<u32>,
    notices: Vec<String>,
    failed: Vec<(u32, String)>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Format,
    Empty,
    Limit,
    Unsupported,
}

/// Bytes of an answer at most: of the text, every character may need a second one to be quoted.
pub(super) fn most(limits: &DocumentLimits) -> u64 {
    limits.text_bytes * 2 + (4 << 20)
}

pub(super) fn answered(extracted: Result<Extracted, SourceError>) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&match extracted {
        Ok(extracted) => Answer::Text(Text {
            text: extracted.text,
            pieces: extracted
                .pieces
                .into_iter()
                .map(|piece| (piece.span.end, piece.page, piece.heading))
                .collect(),
            title: extracted.title,
            pages: extracted.pages,
            notices: extracted.notices,
            failed: extracted
                .failed
                .into_iter()
                .map(|failed| (failed.page, failed.problem))
                .collect(),
        }),
        Err(error) => Answer::Refusal {
            kind: match error.kind() {
                SourceErrorKind::Empty => Kind::Empty,
                SourceErrorKind::Limit => Kind::Limit,
                SourceErrorKind::Unsupported => Kind::Unsupported,
                _ => Kind::Format,
            },
            message: error.to_string(),
        },
    })
}

/// Believes nothing of an answer but what can be seen in it.
pub(super) fn answer(answer: &[u8], limits: &DocumentLimits) -> Result<Extracted, SourceError> {
    let answer = serde_json::from_slice(answer)
        .map_err(|error| broke_off("its answer is none").with_source(error))?;
    let text = match answer {
        Answer::Text(text) => text,
        Answer::Refusal { kind, message } => {
            let kind = match kind {
                Kind::Format => SourceErrorKind::Format,
                Kind::Empty => SourceErrorKind::Empty,
                Kind::Limit => SourceErrorKind::Limit,
                Kind::Unsupported => SourceErrorKind::Unsupported,
            };
            return Err(SourceError::new(kind, line(&message)));
        }
    };
    let unsound = || broke_off("its answer contradicts itself");
    let in_range = |page: u32| (1..=limits.pages).contains(&page);
    if text.text.len() as u64 > limits.text_bytes
        || text.text.contains('\0')
        || text.pages.is_some_and(|pages| pages > limits.pages)
        || text.failed.len() > limits.pages as usize
        || text.failed.iter().any(|(page, _)| !in_range(*page))
    {
        return Err(unsound());
    }
    let mut pieces = Vec::with_capacity(text.pieces.len());
    let mut start = 0;
    for (end, page, heading) in text.pieces {
        if end < start
            || !text.text.is_char_boundary(end)
            || page.is_some_and(|page| !in_range(page))
            || heading.len() > HEADING
            || heading.contains(char::is_control)
        {
            return Err(unsound());
        }
        pieces.push(Piece {
            span: start..end,
            page,
            heading,
        });
        start = end;
    }
    if start != text.text.len() {
        return Err(unsound());
    }
    Ok(Extracted {
        text: text.text,
        pieces,
        title: text.title.map(|title| line(&title)),
        pages: text.pages,
        notices: text
            .notices
            .iter()
            .take(NOTICES)
            .map(|notice| line(notice))
            .collect(),
        failed: text
            .failed
            .into_iter()
            .map(|(page, problem)| FailedPage {
                page,
                problem: line(&problem),
            })
            .collect(),
    })
}

/// A line that is safe to show: no controls, and not longer than a person reads.
fn line(text: &str) -> String {
    text.chars()
        .filter(|char| !char.is_control())
        .take(LINE)
        .collect()
}
