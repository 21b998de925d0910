//! What reading documents takes at most, all of it in one place; docs/limits.md tells users.

use std::time::Duration;

use faq_source::{SourceError, SourceErrorKind};

/// What reading documents takes at most. A document is somebody else's file: every number in it that asks for memory or
/// time meets one of these first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DocumentLimits {
    /// Bytes of a document's file.
    pub file_bytes: u64,
    /// Pages of a document.
    pub pages: u32,
    /// Bytes of a document's text, its headings included.
    pub text_bytes: u64,
    /// Bytes that a page of a PDF, or a part of a docx, inflates to.
    pub part_bytes: u64,
    /// Bytes that all parts of a docx inflate to.
    pub total_bytes: u64,
    /// Parts of a docx.
    pub parts: usize,
    /// How many times larger than packed a part of a docx may be, from 4 MiB on.
    pub ratio: u64,
    /// Documents of a directory or pattern.
    pub documents: usize,
    /// Files and directories that are looked at to find them.
    pub entries: usize,
    /// Bytes of the text of all documents together.
    pub all_text_bytes: u64,
    /// Memory of the process that reads a document, plain text excepted.
    pub child_memory: u64,
    /// Its processor time.
    pub child_cpu: Duration,
    /// What it may take by the clock: then it is ended.
    pub child_wall: Duration,
}

impl Default for DocumentLimits {
    fn default() -> Self {
        Self {
            file_bytes: 64 << 20,
            pages: 5_000,
            text_bytes: 16 << 20,
            part_bytes: 64 << 20,
            total_bytes: 128 << 20,
            parts: 10_000,
            ratio: 200,
            documents: 10_000,
            entries: 200_000,
            all_text_bytes: 96 << 20,
            child_memory: 512 << 20,
            child_cpu: Duration::from_secs(20),
            child_wall: Duration::from_secs(60),
        }
    }
}

/// A refusal that names the limit and its value.
pub(crate) fn over(fact: impl Into<String>) -> SourceError {
    SourceError::new(SourceErrorKind::Limit, fact)
}

/// A number of bytes for a message: `64 MiB`, `100 B`.
pub(crate) fn bytes(number: u64) -> String {
    match number {
        number if number >= 1 << 20 && number.is_multiple_of(1 << 20) => {
            format!("{} MiB", number >> 20)
        }
        number if number >= 1 << 10 && number.is_multiple_of(1 << 10) => {
            format!("{} KiB", number >> 10)
        }
        number => format!("{number} B"),
    }
}
