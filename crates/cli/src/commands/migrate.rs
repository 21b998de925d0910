//! `migrate`: the quickstart's one command.

use crate::app::App;
use crate::args::MigrateArgs;
use crate::commands::{schema, sync, validate};
use crate::exit::{ExitCode, Failure};

pub(crate) async fn run(app: &App, args: &MigrateArgs) -> Result<ExitCode, Failure> {
    if args.validate {
        return validate::check(app, typed_source(args), false).await;
    }
    if args.migrate_schema {
        return schema::migrate(app).await;
    }
    sync::run(app, &args.sync, sync::Entrance::Migrate).await
}

/// `--validate` compares with the source only when the source was typed: a variable that names one is not a request.
fn typed_source(args: &MigrateArgs) -> Option<&crate::args::SourceArgs> {
    let source = &args.sync.source;
    (source.faq_path.is_some() || source.input.is_some()).then_some(source)
}
