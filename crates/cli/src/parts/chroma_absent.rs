//! Moving in from Chroma, in a build without it.

use storage_core::ImportSource;

use crate::app::App;
use crate::args::ImportChromaArgs;
use crate::exit::{Failure, usage};

pub(crate) async fn open(
    _app: &App,
    _args: &ImportChromaArgs,
) -> Result<Vec<Box<dyn ImportSource>>, Failure> {
    Err(usage(
        "this build does not read Chroma (feature `import-chroma`); build it with: cargo build --release -p cli --features \
         import-chroma",
    ))
}
