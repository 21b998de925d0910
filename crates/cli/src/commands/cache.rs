//! `cache stats` and `cache prune`: vectors that no row refers to. They were paid for, so nothing removes them unasked.

use serde::Serialize;
use storage_core::Timestamp;

use crate::app::{self, App};
use crate::args::CacheCommand;
use crate::commands::status::size;
use crate::exit::{ExitCode, Failure, usage};
use crate::parts::Access;
use crate::settings::duration;

#[derive(Serialize)]
struct Stats {
    vectors: u64,
    unreferenced: u64,
    unreferenced_bytes: u64,
    oldest_seconds: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    removed: Option<u64>,
}

pub(crate) async fn run(app: &App, command: &CacheCommand) -> Result<ExitCode, Failure> {
    let now = app::now();
    let (store, removed) = match command {
        CacheCommand::Stats | CacheCommand::Prune { dry_run: true, .. } => {
            (app.open(Access::Read, None).await?, None)
        }
        CacheCommand::Prune { older_than, .. } => {
            let age = duration(older_than)
                .and_then(|age| i64::try_from(age.as_millis()).ok())
                .ok_or_else(|| {
                    usage(format!(
                        "--older-than is {older_than:?}; expected a time such as 90d"
                    ))
                })?;
            // Not beside a build: what it has paid for is not referred to before it is done.
            let store = app.open(Access::Turns, None).await?;
            // One millisecond on, so that "older than nothing" takes what was stored in this one.
            let removed = store
                .prune(Timestamp(now.0.saturating_sub(age).saturating_add(1)))
                .await?;
            (store, Some(removed))
        }
    };
    let stats = store.cache_stats().await?;
    let oldest = stats
        .oldest
        .map(|oldest| now.0.saturating_sub(oldest.0).max(0) / 1000);
    let output = app.output;
    if let Some(removed) = removed {
        output.print(format!("Removed {removed} vectors that no row refers to"));
    }
    output.print(format!(
        "{} vectors stored, {} of them unreferenced ({}){}",
        stats.vectors,
        stats.unreferenced,
        size(stats.unreferenced_bytes),
        oldest.map_or_else(String::new, |seconds| format!(
            ", the oldest for {seconds} s"
        ))
    ));
    output.document(&Stats {
        vectors: stats.vectors,
        unreferenced: stats.unreferenced,
        unreferenced_bytes: stats.unreferenced_bytes,
        oldest_seconds: oldest,
        removed,
    })?;
    Ok(ExitCode::Done)
}
