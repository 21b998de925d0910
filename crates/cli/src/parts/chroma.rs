//! Moving in from Chroma: a directory, or a server.

use std::path::Path;

use importers::chroma::{self, ChromaOptions, Server};
use storage_core::ImportSource;

use crate::app::App;
use crate::args::ImportChromaArgs;
use crate::env;
use crate::exit::Failure;

pub(crate) async fn open(
    app: &App,
    args: &ImportChromaArgs,
) -> Result<Vec<Box<dyn ImportSource>>, Failure> {
    let options = ChromaOptions {
        collections: args.from_collection.clone(),
        tenant: args.tenant.clone(),
        database: args.database.clone(),
        salvage: args.salvage,
    };
    if is_address(&args.source) {
        let server = Server {
            url: args.source.clone(),
            token: app.settings.layers.secret(env::CHROMA_TOKEN),
        };
        return Ok(chroma::connect(&server, &options).await?);
    }
    Ok(chroma::open(Path::new(&args.source), &options)?)
}

fn is_address(source: &str) -> bool {
    let source = source.to_ascii_lowercase();
    source.starts_with("http://") || source.starts_with("https://")
}
