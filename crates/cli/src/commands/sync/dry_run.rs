//! What a sync would do and take, told or frozen into a file, and nothing written to the store.

use std::sync::Arc;

use std::path::Path;

use embedder_client::Meter;
use storage_core::StoreErrorKind;
use sync_engine::{Prepared, SyncPolicy, SyncReport, prepare};

use super::{Means, Request, Work, frozen};
use crate::app::App;
use crate::commands::{estimate, source};
use crate::exit::{ExitCode, Failure};
use crate::output::shell_word;
use crate::parts::{self, Access};
use crate::plan_file::{self, Ground};
use crate::progress::plan_lines;
use crate::wire;

pub(super) async fn run(
    app: &App,
    request: &Request<'_>,
    policy: SyncPolicy,
    means: Means,
    plan_out: Option<&Path>,
) -> Result<ExitCode, Failure> {
    // Before it is read: a source that is saved meanwhile makes the plan stale, and never one that nobody saw fresh.
    let digest = match plan_out {
        Some(path) => {
            let file = frozen::check(app, request, path)?;
            Some((file, frozen::source_digest(file)?))
        }
        None => None,
    };
    let first = source::read(&request.source)?;
    let (store, found) = match app.open(Access::Read, means.dimensions()).await {
        Ok(store) => (store, true),
        Err(failure) if failure.store == Some(StoreErrorKind::NotFound) => (parts::memory(), false),
        Err(failure) => return Err(failure),
    };
    let means = means.follow(app, request, &store.status().await?)?;
    let collection = &request.collection;
    let work = Work::new(app, collection, store, means, None, Meter::default());
    let reporter = work.reporter();
    let context = work.context(&reporter);
    let prepared = prepare(&context, collection, first.snapshot, policy).await?;
    let cost = work.spend.cost(prepared.estimate.tokens);
    let estimate = wire::Estimate::of(&prepared.estimate, cost);
    let report = SyncReport::of_plan(&prepared.plan);
    let mut document = wire::Sync::of(&report, collection.as_str(), work.describe());
    if let (Some(path), Some((file, digest))) = (plan_out, digest) {
        let status = work.store.status().await?;
        let ground = Ground {
            location: &app.settings.store,
            status: found.then_some(&status),
            collection,
            embedder: &*work.embedder,
        };
        if ground.generation() != prepared.plan.base.0 {
            return Err(Failure::new(
                ExitCode::TryAgain,
                "another writer changed the store while the plan was made; run the command again",
            ));
        }
        let head = plan_file::Head::new(plan_file::SYNC, &ground, &estimate)?;
        let body = frozen::Body::of(request, file, digest, &prepared.plan);
        plan_file::write(path, &head, &body)?;
        document.plan = Some(path.display().to_string());
    }
    print(&work, &prepared, cost, plan_out);
    document.mode = "dry-run";
    document.to_embed = Some(prepared.estimate.texts);
    document.estimate = Some(estimate);
    document.reused = prepared.reused;
    document.seconds.read = first.seconds;
    document.seconds.total = app.started.elapsed().as_secs_f64();
    document.model = work.model().await?;
    let store = match found {
        true => Arc::clone(&work.store),
        false => parts::memory(),
    };
    document.bytes = parts::bytes_on_disk(&app.settings.store, store).await;
    app.output.document(&document)?;
    Ok(if report.failed.is_empty() {
        ExitCode::Done
    } else {
        ExitCode::SomeRowsFailed
    })
}

fn print(work: &Work<'_>, prepared: &Prepared, cost: Option<f64>, plan_out: Option<&Path>) {
    let output = work.app.output;
    output.print(format!(
        "Dry run: nothing is written to {}",
        parts::describe(&work.app.settings.store)
    ));
    for line in plan_lines(&prepared.plan) {
        output.print(line);
    }
    output.print(format!(
        "To embed: {} texts ({} reused), {}, with {}",
        prepared.estimate.texts,
        prepared.reused,
        estimate::amount(&prepared.estimate, cost),
        work.embedder.spec().name
    ));
    output.print(estimate::time(&prepared.estimate));
    if let Some(path) = plan_out {
        output.print(format!(
            "Plan written to {}; carry it out with: smart-support apply {}",
            path.display(),
            shell_word(&path.display().to_string())
        ));
    }
}
