//! The ledger of runs.

use super::Harness;
use super::fixture::{collection, faq, run, sheet, version};
use crate::{CollectionName, RunKind, RunRecord, RunState, Timestamp};

fn record(id: &str, collection: CollectionName, started_at: i64) -> RunRecord {
    RunRecord {
        id: run(id),
        kind: RunKind::Sync,
        collection,
        source: Some(sheet()),
        version: Some(version("one").id),
        state: RunState::Started,
        requests: 3,
        texts: 30,
        tokens: 300,
        started_at: Timestamp(started_at),
        finished_at: None,
    }
}

/// The newest runs come first, as many as were asked for.
pub async fn runs_come_newest_first<H: Harness>(harness: H) {
    let store = harness.store();
    let mut runs = vec![
        record("b", faq(), 20),
        record("a", faq(), 30),
        record("c", faq(), 10),
        record("d", faq(), 20),
    ];
    runs[2].kind = RunKind::Import;
    runs[3].kind = RunKind::Recompute;
    runs[3].source = None;
    runs[3].version = None;
    for run in &runs {
        store.record_run(run).await.unwrap();
    }
    let [b, a, c, d] = <[RunRecord; 4]>::try_from(runs).unwrap();
    assert_eq!(
        store.runs(&faq(), 10).await.unwrap(),
        [a.clone(), d.clone(), b, c]
    );
    assert_eq!(store.runs(&faq(), 2).await.unwrap(), [a, d]);
    assert!(store.runs(&faq(), 0).await.unwrap().is_empty());
}

/// A run is one line, however often it is written.
pub async fn a_run_is_replaced_by_its_id<H: Harness>(harness: H) {
    let store = harness.store();
    let mut line = record("a", faq(), 20);
    store.record_run(&line).await.unwrap();
    line.state = RunState::Finished;
    line.finished_at = Some(Timestamp(25));
    line.tokens = i64::MAX as u64;
    store.record_run(&line).await.unwrap();
    assert_eq!(store.runs(&faq(), 10).await.unwrap(), [line.clone()]);
    line.state = RunState::Failed;
    line.source = None;
    store.record_run(&line).await.unwrap();
    assert_eq!(store.runs(&faq(), 10).await.unwrap(), [line]);
}

/// Runs are listed with their own collection, and recording one creates no collection.
pub async fn runs_belong_to_their_collection<H: Harness>(harness: H) {
    let store = harness.store();
    let (ours, theirs) = (record("a", faq(), 1), record("b", collection("other"), 2));
    store.record_run(&ours).await.unwrap();
    store.record_run(&theirs).await.unwrap();
    assert_eq!(store.runs(&faq(), 10).await.unwrap(), [ours]);
    assert_eq!(
        store.runs(&collection("other"), 10).await.unwrap(),
        [theirs]
    );
    let status = store.status().await.unwrap();
    assert!(status.collections.is_empty());
    assert_eq!(status.generation.0, 0);
}
