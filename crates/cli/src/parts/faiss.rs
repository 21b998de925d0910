//! Moving in from a FAISS index.

use importers::faiss::FaissOptions;
use storage_core::ImportSource;

use crate::args::ImportFaissArgs;
use crate::exit::Failure;

pub(crate) fn open(args: &ImportFaissArgs) -> Result<Box<dyn ImportSource>, Failure> {
    let options = FaissOptions {
        allow_lossy: args.allow_lossy,
        model: args.common.model.clone(),
        salvage: args.salvage,
    };
    Ok(importers::faiss::open(
        &args.index,
        args.metadata.as_deref(),
        &options,
    )?)
}
