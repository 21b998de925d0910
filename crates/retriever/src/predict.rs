//! From hits to an answer: extractive, so it says nothing but what a stored row says.
//!
//! What kind of row a hit is follows from the row alone. A row of a source `dataset:…` is a row of a data set; one with a
//! page or a place in an extracted text is a passage of a document; anything else is an entry with a ready template. The
//! answer is not empty exactly when there is no failure mode: a program that looks at nothing but the answer shows
//! nothing rather than a guess.

use storage_core::{Document, SourceId};

use crate::search::Hit;

/// Longest snippet, in characters, the ellipsis included.
const SNIPPET_CHARS: usize = 240;

/// What a question gets.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// What the best rows say; empty exactly when there is a failure mode.
    pub answer: String,
    /// The rows behind it, best first; those of a low confidence too.
    pub citations: Vec<Citation>,
    /// The best score, 0 to 1.
    pub confidence: f32,
    /// Why there is no answer.
    pub failure_mode: Option<FailureMode>,
}

/// A row that an answer rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Citation {
    /// Where the row comes from, as a person names it: a data set without its extension, else the file.
    pub source: String,
    /// What the row says, at most 240 characters, cut at a sentence or a word.
    pub snippet: String,
    /// The page of a passage, from 1; else the row of data, from 0, where the header is the first row of its table (JSON
    /// lines have none). `None` where the source tells neither, as a table of a database.
    pub page_or_row: Option<u64>,
}

/// Why there is no answer. The names are part of the service's contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureMode {
    /// Nothing was found at all.
    NoMatch,
    /// What was found scores below the threshold: the citations are there for a person to judge.
    LowConfidence,
}

impl FailureMode {
    /// The name in answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoMatch => "no_match",
            Self::LowConfidence => "low_confidence",
        }
    }
}

/// Answers from hits, best first. A best score equal to the threshold is an answer; without a threshold, any is.
#[must_use]
pub fn predict(hits: &[Hit], confidence_threshold: Option<f32>) -> Prediction {
    let Some(best) = hits.first() else {
        return Prediction {
            answer: String::new(),
            citations: Vec::new(),
            confidence: 0.0,
            failure_mode: Some(FailureMode::NoMatch),
        };
    };
    // Written so that a score that is no number is no answer, whatever the threshold.
    let counts = |hit: &Hit| {
        confidence_threshold.map_or(!hit.score.is_nan(), |threshold| hit.score >= threshold)
    };
    let failure_mode = (!counts(best)).then_some(FailureMode::LowConfidence);
    let answer = match failure_mode {
        Some(_) => String::new(),
        None if best.document.source.is_data_set() => {
            let rows = hits
                .iter()
                .filter(|hit| hit.document.source == best.document.source && counts(hit));
            data_set_answer(rows.map(|hit| &hit.document))
        }
        None => text(&best.document).to_owned(),
    };
    Prediction {
        answer,
        citations: hits.iter().map(|hit| citation(&hit.document)).collect(),
        confidence: if best.score.is_nan() {
            0.0
        } else {
            best.score.clamp(0.0, 1.0)
        },
        failure_mode,
    }
}

fn citation(document: &Document) -> Citation {
    Citation {
        source: source_name(document),
        snippet: snippet(text(document), SNIPPET_CHARS),
        page_or_row: page_or_row(document),
    }
}

/// What a row says: its text, or its heading where it has no other.
fn text(document: &Document) -> &str {
    let body = document.body.trim();
    if body.is_empty() {
        document.title.trim()
    } else {
        body
    }
}

fn is_passage(document: &Document) -> bool {
    document.locator.page.is_some() || document.locator.span.is_some()
}

/// `dosm_dataset` of `dataset:dosm_dataset.csv`, `faq.xlsx` of `file:faq.xlsx`; of a passage, whose source may be a
/// whole directory, the file's name.
fn source_name(document: &Document) -> String {
    let source = document.source.as_str();
    if let Some(file) = source.strip_prefix(SourceId::DATA_SET) {
        return match file.rsplit_once('.') {
            Some((stem, _)) if !stem.is_empty() => stem.to_owned(),
            _ => file.to_owned(),
        };
    }
    if is_passage(document) {
        let path = document.key.document.trim_end_matches(['/', '\\']);
        let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
        // An id that is a path ends in a file's name; a minted one or a number does not name the file.
        if name.contains('.') {
            return name.to_owned();
        }
    }
    match source.split_once(':') {
        Some((_, name)) if !name.is_empty() => name.to_owned(),
        _ => source.to_owned(),
    }
}

fn page_or_row(document: &Document) -> Option<u64> {
    if is_passage(document) {
        return document.locator.page.map(u64::from);
    }
    let source = document.source.as_str().to_lowercase();
    let first = if [".jsonl", ".ndjson", ".json"]
        .iter()
        .any(|extension| source.ends_with(extension))
    {
        1
    } else {
        2
    };
    document.locator.row?.checked_sub(first)
}

/// `Grounded answer (rows 0–4): year=2023, indicator=CPI, value=121.0; year=…`, the best row first.
fn data_set_answer<'a>(rows: impl Iterator<Item = &'a Document>) -> String {
    let mut numbers = Vec::new();
    let mut texts: Vec<String> = Vec::new();
    for document in rows {
        numbers.extend(page_or_row(document));
        let text = with_commas(document);
        // Rows of a data set may repeat; what they say is said once.
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    let place = match ranges(numbers) {
        Some(rows) => format!(" ({rows})"),
        None => String::new(),
    };
    format!("Grounded answer{place}: {}", texts.join("; "))
}

/// `rows 0–4`, `row 3`, `rows 0–2, 7`; `None` without a row.
fn ranges(mut numbers: Vec<u64>) -> Option<String> {
    numbers.sort_unstable();
    numbers.dedup();
    let word = match numbers.len() {
        0 => return None,
        1 => "row",
        _ => "rows",
    };
    let runs: Vec<String> = numbers
        .chunk_by(|left, right| left + 1 == *right)
        .map(|run| match run {
            [first, .., last] => format!("{first}–{last}"),
            [only] => only.to_string(),
            [] => String::new(),
        })
        .collect();
    Some(format!("{word} {}", runs.join(", ")))
}

/// A row's text with a comma before each `column=`. Only names of its own columns count: a value may hold spaces and
/// equals signs.
fn with_commas(document: &Document) -> String {
    let body = text(document);
    let mut out = String::with_capacity(body.len() + document.metadata.len());
    for (at, char) in body.char_indices() {
        let begins = char == ' '
            && document.metadata.keys().any(|column| {
                body[at + 1..]
                    .strip_prefix(column.as_str())
                    .is_some_and(|rest| rest.starts_with('='))
            });
        if begins {
            out.push(',');
        }
        out.push(char);
    }
    out
}

/// The text on one line; a longer one is cut behind its last sentence within `most` characters, or at a word, and ends in
/// an ellipsis.
fn snippet(text: &str, most: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let Some((end, _)) = line.char_indices().nth(most) else {
        return line;
    };
    // One character is the ellipsis's.
    let head = line[..end]
        .char_indices()
        .next_back()
        .map_or("", |(last, _)| &line[..last]);
    let sentence = head
        .rmatch_indices(['.', '!', '?', '…'])
        .map(|(at, mark)| at + mark.len())
        .find(|&at| line[at..].starts_with(' '))
        // A first sentence that is a greeting says nothing.
        .filter(|&at| head[..at].chars().count() * 2 >= most);
    if let Some(at) = sentence {
        return format!("{} …", &head[..at])
            .chars()
            .take(most)
            .collect::<String>();
    }
    let word = if line[head.len()..].starts_with(' ') {
        Some(head.len())
    } else {
        head.rfind(' ')
    };
    let cut = word
        .filter(|&at| head[..at].chars().count() * 2 >= most)
        .unwrap_or(head.len());
    format!("{}…", head[..cut].trim_end())
}

#[cfg(test)]
mod tests;
