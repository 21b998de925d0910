//! Moving in from plain vectors, in a build without it.

use std::num::NonZeroU32;

use storage_core::ImportSource;

use crate::args::ImportVectorsArgs;
use crate::exit::{Failure, usage};

pub(crate) fn open(
    _args: &ImportVectorsArgs,
    _dimensions: Option<NonZeroU32>,
) -> Result<Box<dyn ImportSource>, Failure> {
    Err(usage(
        "this build does not read plain vectors (feature `import-vectors`); build it with: cargo build --release -p cli --features \
         import-vectors",
    ))
}
