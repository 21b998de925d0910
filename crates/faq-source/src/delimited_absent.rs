//! Stands in for the CSV reader in a build without the feature `csv`.

use crate::input::SourceFile;
use crate::{FaqSource, SourceError, SourceErrorKind, SourceOptions};

/// Says which feature reads CSV and how to build it in.
pub(crate) fn open(
    _file: SourceFile,
    _options: SourceOptions,
) -> Result<Box<dyn FaqSource>, SourceError> {
    Err(SourceError::new(
        SourceErrorKind::Unsupported,
        "this build has no reader for CSV (feature csv); run: cargo build --release -p cli --features csv",
    ))
}
