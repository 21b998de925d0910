//! The gate of `model promote`: both versions answer the same questions, and a loss keeps the pointer where it is.

use std::path::Path;

use serde::Serialize;
use storage_core::{CollectionStatus, EmbeddingStore, StoreStatus, Version};

use crate::app::App;
use crate::args::PromoteArgs;
use crate::commands::eval::{
    Baseline, Golden, Measured, Measuring, Note, gate, keep, print_comparison,
};
use crate::commands::sync;
use crate::exit::{ExitCode, Failure, usage};
use crate::wire;

/// How the candidate did.
#[derive(Debug, Serialize)]
pub(super) struct Gate {
    passed: bool,
    queries: usize,
    top1: f64,
    top3: f64,
    mrr: f64,
    flips: wire::Flips,
}

#[derive(Serialize)]
struct Refused {
    mode: &'static str,
    collection: String,
    /// The version that is served, as before.
    active: Option<String>,
    /// The version that was refused.
    candidate: String,
    gate: Gate,
}

/// Asks both versions the questions of a file and keeps the figures with them. Fails where the candidate loses more
/// than it may. The store stays open for writing meanwhile, so that what is switched is what was measured.
pub(super) async fn prove(
    app: &App,
    store: &dyn EmbeddingStore,
    status: &StoreStatus,
    collection: &CollectionStatus,
    version: &Version,
    args: &PromoteArgs,
) -> Result<Option<Gate>, Failure> {
    let active = collection.active_version();
    let (Some(file), Some(active)) = (&args.golden, active) else {
        return Ok(None);
    };
    let stale = collection.records.saturating_sub(version.records);
    if stale > 0 {
        return Err(Failure::new(
            ExitCode::Refused,
            format!(
                "version {} lacks {stale} rows that were edited since it was complete, so it cannot be measured; bring \
                 it up to date with `smart-support model build {}`, then promote it again",
                version.id.short(),
                version.id.short()
            ),
        ));
    }
    let (before, after) = ask(app, store, status, active, version, file).await?;
    let baseline = Baseline {
        version: active.id.to_string(),
        kept_at: None,
        comparison: after.against(&before),
    };
    if baseline.comparison.questions == 0 {
        return Err(usage(format!(
            "golden file {} has no question with an answer, so nothing can be proved with it; give its questions their \
             right ids in `gold`",
            file.display()
        )));
    }
    let compared = Some((&*baseline.version, &baseline.comparison));
    let notes = [
        (active.id.clone(), Note::Evaluation(before.record(None))),
        (version.id.clone(), Note::Evaluation(after.record(compared))),
    ];
    keep(app, store, &notes).await?;
    // A refusal names every question that was lost.
    print_comparison(app, &baseline, usize::MAX);
    let outcome = gate(
        &after.evaluation,
        Some(&baseline.comparison),
        args.min_top3,
        Some(args.max_lost.unwrap_or(0)),
    );
    let overall = after.evaluation.overall;
    let gate = Gate {
        passed: outcome.is_ok(),
        queries: overall.queries,
        top1: overall.top1,
        top3: overall.top3,
        mrr: overall.mrr,
        flips: baseline.flips(),
    };
    let Err(mut failure) = outcome else {
        return Ok(Some(gate));
    };
    app.output.document(&Refused {
        mode: "promote",
        collection: collection.name.to_string(),
        active: Some(active.id.to_string()),
        candidate: version.id.to_string(),
        gate,
    })?;
    failure.message = format!(
        "version {} is not promoted, {} goes on serving: {}",
        version.id.short(),
        active.id.short(),
        failure.message
    );
    Err(failure)
}

async fn ask(
    app: &App,
    store: &dyn EmbeddingStore,
    status: &StoreStatus,
    active: &Version,
    version: &Version,
    file: &Path,
) -> Result<(Measured, Measured), Failure> {
    let golden = Golden::read(file)?;
    let space = |version: &Version| {
        status.space(&version.space).ok_or_else(|| {
            let why = "lies in a space that the store does not have; see `smart-support validate`";
            Failure::new(
                ExitCode::Failed,
                format!("version {} {why}", version.id.short()),
            )
        })
    };
    let served = app.embedder_of(status, space(active)?)?;
    let candidate = app.embedder_of(status, space(version)?)?;
    // What a file says of entries that are not there could only be a miss of both.
    let mut measuring = Measuring::new(app, &golden)
        .within(sync::spend(app, &*candidate)?.limits())
        .knowing_every_id();
    let before = measuring.measure(store, status, active, &*served);
    let before = before.await?;
    let after = measuring.measure(store, status, version, &*candidate);
    Ok((before, after.await?))
}
