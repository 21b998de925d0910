//! From bytes to text, in this process or another.

use std::fmt;

use faq_source::SourceError;

use crate::{DocumentKind, DocumentLimits, Extracted, docx, html, markdown, pdf, text};

/// Makes text of a document's bytes.
pub trait Extraction: fmt::Debug + Send + Sync {
    /// Reads a document whole. Blocking. A page that fails is in [`Extracted::failed`], the others stand.
    ///
    /// # Errors
    /// When nothing of it can be read. The message says what about it, not which document.
    fn extract(
        &self,
        kind: DocumentKind,
        bytes: &[u8],
        limits: &DocumentLimits,
    ) -> Result<Extracted, SourceError>;
}

/// Reads in this process. For all but plain text that is for tests, and for the process that is a
/// [`ChildProcess`](crate::ChildProcess) itself: the parsers are not ours.
#[derive(Debug, Clone, Copy, Default)]
pub struct InProcess;

impl Extraction for InProcess {
    fn extract(
        &self,
        kind: DocumentKind,
        bytes: &[u8],
        limits: &DocumentLimits,
    ) -> Result<Extracted, SourceError> {
        match kind {
            DocumentKind::Pdf => pdf::extract(bytes, limits),
            DocumentKind::Docx => docx::extract(bytes, limits),
            DocumentKind::Html => html::extract(bytes, limits),
            DocumentKind::Markdown => markdown::extract(bytes, limits),
            DocumentKind::Text => text::extract(bytes, limits),
        }
    }
}
