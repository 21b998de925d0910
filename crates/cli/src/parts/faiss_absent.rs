//! Moving in from FAISS, in a build without it.

use storage_core::ImportSource;

use crate::args::ImportFaissArgs;
use crate::exit::{Failure, usage};

pub(crate) fn open(_args: &ImportFaissArgs) -> Result<Box<dyn ImportSource>, Failure> {
    Err(usage(
        "this build does not read FAISS (feature `import-faiss`); build it with: cargo build --release -p cli --features \
         import-faiss",
    ))
}
