//! In a build without this reader.

use faq_source::{SourceError, SourceErrorKind};

use crate::extracted::TextBuilder;
use crate::{DocumentLimits, Extracted};

pub(crate) fn extract(_: &[u8], _: &DocumentLimits) -> Result<Extracted, SourceError> {
    Err(absent())
}

#[allow(dead_code, reason = "only Markdown has parts of pages in it")]
pub(crate) fn read(_: &str, _: &mut TextBuilder) -> Result<Option<String>, SourceError> {
    Err(absent())
}

fn absent() -> SourceError {
    SourceError::new(
        SourceErrorKind::Unsupported,
        "this build reads no web pages (feature `html` of document-source); build it with: cargo build --release -p cli",
    )
}
