//! Stands in for the workbook reader in a build without the feature `xlsx`.

use crate::input::SourceFile;
use crate::{FaqSource, SourceError, SourceErrorKind, SourceOptions};

/// Says which feature reads workbooks and how to build it in.
pub(crate) fn open(
    _file: SourceFile,
    _options: SourceOptions,
) -> Result<Box<dyn FaqSource>, SourceError> {
    Err(SourceError::new(
        SourceErrorKind::Unsupported,
        "this build has no reader for workbooks (feature xlsx); run: cargo build --release -p cli --features xlsx",
    ))
}
