//! What readers make of a document: its text, and which page and heading each part of it is under.

use std::ops::Range;

use faq_source::SourceError;

use crate::DocumentLimits;
use crate::limits::{bytes, over};

/// A document's text. Paragraphs stand apart by an empty line; headings are not in the text but over it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extracted {
    /// The text.
    pub text: String,
    /// Which part is where, from the first byte to the last, without gaps.
    pub pieces: Vec<Piece>,
    /// The document's own title, where it has one.
    pub title: Option<String>,
    /// How many pages it has, where it has pages.
    pub pages: Option<u32>,
    /// One line each for a person.
    pub notices: Vec<String>,
    /// Pages that could not be read; the others are there.
    pub failed: Vec<FailedPage>,
}

/// A stretch of text under one heading, on one page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Byte offsets into the text.
    pub span: Range<usize>,
    /// From 1.
    pub page: Option<u32>,
    /// The headings above it, the outermost first, with ` > ` between them.
    pub heading: String,
}

/// A page that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedPage {
    /// From 1.
    pub page: u32,
    /// Why.
    pub problem: String,
}

/// Between headings of a path.
const SEPARATOR: &str = " > ";
/// Characters of a heading that are kept; the rest of it is somebody's paragraph.
#[allow(dead_code, reason = "plain text has no headings")]
const HEADING: usize = 200;
/// What a piece costs beside its heading.
const PIECE: u64 = size_of::<Piece>() as u64 + 16;

/// Puts a text together: readers say what comes next, and what is kept of white space is decided here.
#[derive(Debug)]
pub(crate) struct TextBuilder {
    extracted: Extracted,
    limit: u64,
    /// What the pieces cost.
    held: u64,
    page: Option<u32>,
    headings: Vec<(u8, String)>,
    /// Whether anything was written under the last heading.
    filled: bool,
}

#[allow(dead_code, reason = "a build with few readers needs little of it")]
impl TextBuilder {
    pub(crate) fn new(limits: &DocumentLimits) -> Self {
        Self {
            extracted: Extracted::default(),
            limit: limits.text_bytes,
            held: 0,
            page: None,
            headings: Vec::new(),
            filled: true,
        }
    }

    pub(crate) fn title(&mut self, title: &str) {
        let title = heading_line(title);
        if !title.is_empty() {
            self.extracted.title = Some(title);
        }
    }

    /// The title, unless there is one already.
    pub(crate) fn title_once(&mut self, title: &str) {
        if self.extracted.title.is_none() {
            self.title(title);
        }
    }

    pub(crate) fn pages(&mut self, pages: u32) {
        self.extracted.pages = Some(pages);
    }

    pub(crate) fn page(&mut self, page: u32) {
        self.page = Some(page);
    }

    pub(crate) fn notice(&mut self, notice: String) {
        self.extracted.notices.push(notice);
    }

    pub(crate) fn failed(&mut self, page: u32, problem: String) {
        self.extracted.failed.push(FailedPage { page, problem });
    }

    /// What follows stands under this heading, until one of its level or above.
    pub(crate) fn heading(&mut self, level: u8, text: &str) -> Result<(), SourceError> {
        let text = heading_line(text);
        if text.is_empty() {
            return Ok(());
        }
        self.close(level)?;
        self.headings.push((level, text));
        self.filled = false;
        Ok(())
    }

    /// Leaves the headings of that level and below. One with nothing under it would be lost, so it becomes text.
    fn close(&mut self, level: u8) -> Result<(), SourceError> {
        let within = self.headings.last().is_some_and(|(last, _)| *last >= level);
        if within
            && !self.filled
            && let Some((_, bare)) = self.headings.pop()
        {
            self.block(&bare)?;
        }
        while self.headings.last().is_some_and(|(last, _)| *last >= level) {
            self.headings.pop();
        }
        Ok(())
    }

    /// A paragraph: its lines are one.
    pub(crate) fn paragraph(&mut self, text: &str) -> Result<(), SourceError> {
        self.block(&words(text))
    }

    /// Text whose lines stay as they are, such as code.
    pub(crate) fn block(&mut self, text: &str) -> Result<(), SourceError> {
        self.write(text, "\n\n")
    }

    /// A line that belongs to the one before: of a list, of a table.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), SourceError> {
        self.write(&words(text), "\n")
    }

    fn write(&mut self, text: &str, apart: &str) -> Result<(), SourceError> {
        let text = text.trim_matches(['\n', ' ', '\t']);
        // Before anything is copied.
        if text.len() as u64 > self.limit {
            return Err(too_long(self.limit));
        }
        let cleaned;
        let text = if text.chars().any(unwanted) {
            cleaned = text.replace(unwanted, "");
            cleaned.trim_matches(['\n', ' ', '\t'])
        } else {
            text
        };
        if text.trim().is_empty() {
            return Ok(());
        }
        self.filled = true;
        let heading = self.path();
        let out = &mut self.extracted;
        let same = out
            .pieces
            .last()
            .is_some_and(|piece| piece.page == self.page && piece.heading == heading);
        if !out.text.is_empty() {
            out.text.push_str(if same { apart } else { "\n\n" });
        }
        // White space between two pieces belongs to the first of them.
        let start = out.text.len();
        if let Some(last) = out.pieces.last_mut() {
            last.span.end = start;
        }
        if !same {
            self.held += PIECE + heading.len() as u64;
            out.pieces.push(Piece {
                span: start..start,
                page: self.page,
                heading,
            });
        }
        let size = (out.text.len() + text.len()) as u64 + self.held;
        if size > self.limit {
            return Err(too_long(self.limit));
        }
        out.text.push_str(text);
        if let Some(last) = out.pieces.last_mut() {
            last.span.end = out.text.len();
        }
        Ok(())
    }

    fn path(&self) -> String {
        let headings = self.headings.iter().map(|(_, text)| text.as_str());
        headings.collect::<Vec<_>>().join(SEPARATOR)
    }

    pub(crate) fn finish(mut self) -> Result<Extracted, SourceError> {
        self.close(0)?;
        Ok(self.extracted)
    }
}

/// What a document is refused with whose text passes the limit.
pub(crate) fn too_long(limit: u64) -> SourceError {
    over(format!(
        "its text takes more than {}; split the document",
        bytes(limit)
    ))
}

/// Characters that no backend stores or nobody sees: controls, byte order marks, hyphens that show only at a line's end.
fn unwanted(char: char) -> bool {
    (char.is_control() && !matches!(char, '\n' | '\t')) || matches!(char, '\u{feff}' | '\u{ad}')
}

/// The words of a text with one space between them.
#[allow(dead_code, reason = "plain text keeps its lines")]
pub(crate) fn words(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line
}

#[allow(dead_code, reason = "plain text has no headings")]
fn heading_line(text: &str) -> String {
    let line = words(&text.replace(unwanted, ""));
    match line.char_indices().nth(HEADING) {
        Some((end, _)) => format!("{}…", line[..end].trim_end()),
        None => line,
    }
}
