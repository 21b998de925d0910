//! Rows of a database as a source, in a build without their reader.

use faq_source::{FaqSource, SourceOptions};

use crate::exit::{Failure, usage};
use crate::settings::RowsPlace;

/// What is embedded in a build that reads none of it.
pub(crate) const EMBED_TEXT: &str = r"{question}\n{answer}";

pub(crate) fn open(_: &RowsPlace, _: SourceOptions) -> Result<Box<dyn FaqSource>, Failure> {
    Err(usage(
        "this build reads no tables as sources (feature `catalog`); build it with: cargo build --release -p cli \
         --features catalog",
    ))
}
