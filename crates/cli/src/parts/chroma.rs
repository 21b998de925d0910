//! Moving in from Chroma: a directory, or a server.

use std::path::Path;

use importers::chroma::http::{ServerOptions, connect};
use importers::chroma::{self, ChromaOptions};
use secrecy::SecretString;
use storage_core::ImportSource;

use crate::app::App;
use crate::args::ImportChromaArgs;
use crate::env;
use crate::exit::{Failure, usage};

pub(crate) async fn open(
    app: &App,
    args: &ImportChromaArgs,
) -> Result<Vec<Box<dyn ImportSource>>, Failure> {
    if !is_address(&args.source) && args.source.contains("//") && args.source.contains('@') {
        // It may hold a password, and so is not shown.
        return Err(usage(
            "the source looks like an address with a user in it, but does not begin with http:// or https://",
        ));
    }
    if !is_address(&args.source) {
        let options = ChromaOptions {
            collections: args.from_collection.clone(),
            tenant: args.tenant.clone(),
            database: args.database.clone(),
            salvage: args.salvage,
        };
        return Ok(chroma::open(Path::new(&args.source), &options)?);
    }
    let layers = &app.settings.layers;
    let options = ServerOptions {
        collections: args.from_collection.clone(),
        tenant: args.tenant.clone(),
        database: args.database.clone(),
        token: layers.text(env::CHROMA_TOKEN).map(SecretString::from),
        proxy: layers.text(env::PROXY).map(str::to_owned),
        allow_plain_http: app.settings.flag(env::ALLOW_PLAIN_HTTP)?,
        ..ServerOptions::default()
    };
    Ok(connect(&args.source, &options).await?)
}

fn is_address(source: &str) -> bool {
    let source = source.to_ascii_lowercase();
    source.starts_with("http://") || source.starts_with("https://")
}
