//! Documents as a source, in a build without their reader.

use std::path::Path;

use faq_source::{FaqSource, SourceSnapshot};

use crate::exit::{Failure, usage};
use crate::settings::{ChunkSettings, SourceSettings};

/// Whether this build reads documents.
#[allow(dead_code, reason = "only the service asks")]
pub(crate) const AVAILABLE: bool = false;

pub(crate) fn open(path: &Path, _: &SourceSettings) -> Result<Option<Box<dyn FaqSource>>, Failure> {
    let extension = path
        .extension()
        .and_then(|end| end.to_str())
        .unwrap_or_default();
    let documents = ["pdf", "docx", "html", "htm", "xhtml", "md", "markdown"];
    if !path.is_dir()
        && !documents
            .iter()
            .any(|end| extension.eq_ignore_ascii_case(end))
    {
        return Ok(None);
    }
    Err(absent())
}

#[allow(dead_code, reason = "only the service is sent documents")]
pub(crate) fn read_document(
    _: &str,
    _: &str,
    _: &[u8],
    _: ChunkSettings,
) -> Result<SourceSnapshot, Failure> {
    Err(absent())
}

pub(crate) fn extract() -> Result<(), Failure> {
    Err(absent())
}

fn absent() -> Failure {
    usage(
        "this build reads no documents as sources (feature `documents`); build it with: cargo build --release -p cli \
         --features documents",
    )
}
