//! Moving in from a matrix of vectors.

use std::num::NonZeroU32;

use storage_core::ImportSource;

use crate::args::ImportVectorsArgs;
use crate::exit::Failure;

pub(crate) fn open(
    args: &ImportVectorsArgs,
    dimensions: Option<NonZeroU32>,
) -> Result<Box<dyn ImportSource>, Failure> {
    Ok(importers::vectors::open(
        &args.items,
        args.vectors.as_deref(),
        dimensions,
    )?)
}
