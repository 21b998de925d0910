//! `model delete`: a version that nobody will serve again.

use serde::Serialize;
use storage_core::{StoreErrorKind, VersionState};

use crate::app::App;
use crate::args::DeleteArgs;
use crate::commands::status::size;
use crate::exit::{ExitCode, Failure};
use crate::parts::Access;

#[derive(Serialize)]
struct Document {
    collection: String,
    deleted: String,
    vectors: u64,
    bytes: u64,
}

pub(super) async fn run(app: &App, args: &DeleteArgs) -> Result<ExitCode, Failure> {
    // A build that is under way holds its own lock: whoever gets it knows that nobody builds.
    let store = app.open(Access::Turns, None).await?;
    let status = store.status().await?;
    let collection = super::collection(app, &status)?;
    let version = super::resolve(&status, collection, &args.version)?;
    if args.abandoned && version.state != VersionState::Building {
        return Err(Failure::new(
            ExitCode::Refused,
            format!(
                "version {} is not being built, it is {}; leave --abandoned out to delete it",
                version.id.short(),
                super::list::state(collection, version)
            ),
        ));
    }
    let freed = store
        .delete_version(app.collection(), &version.id, args.abandoned)
        .await
        .map_err(|error| {
            let building = version.state == VersionState::Building;
            let next = match error.kind() {
                StoreErrorKind::Invalid if building => {
                    "; finish it with `smart-support model build`, or give it up with --abandoned"
                }
                _ => "",
            };
            match error.kind() {
                StoreErrorKind::Invalid => Failure::new(
                    ExitCode::Refused,
                    format!("version {} stays: {error}{next}", version.id.short()),
                ),
                _ => error.into(),
            }
        })?;
    app.output.print(format!(
        "Deleted version {}: {} vectors freed ({})",
        version.id.short(),
        freed.vectors,
        size(freed.bytes)
    ));
    app.output.document(&Document {
        collection: app.collection().to_string(),
        deleted: version.id.to_string(),
        vectors: freed.vectors,
        bytes: freed.bytes,
    })?;
    Ok(ExitCode::Done)
}
