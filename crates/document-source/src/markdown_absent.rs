//! In a build without this reader.

use faq_source::{SourceError, SourceErrorKind};

use crate::{DocumentLimits, Extracted};

pub(crate) fn extract(_: &[u8], _: &DocumentLimits) -> Result<Extracted, SourceError> {
    Err(SourceError::new(
        SourceErrorKind::Unsupported,
        "this build reads no Markdown (feature `markdown` of document-source); build it with: cargo build --release -p cli",
    ))
}
