//! The ledger of runs.

use super::fixture::{collection, document, faq, run, sheet, stored_vector, version};
use super::{Harness, refused};
use crate::{CollectionName, RunKind, RunRecord, RunState, Spend, StoreErrorKind, Timestamp};

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

/// A cost is on its run's line as soon as its vectors are stored, and never without them.
pub async fn what_was_spent_is_known_with_its_vectors<H: Harness>(harness: H) {
    let store = harness.store();
    let known = version("one");
    store.register_space(&known.space).await.unwrap();
    let line = record("a", faq(), 20);
    store.record_run(&line).await.unwrap();
    let spend = Spend {
        run: run("a"),
        requests: 2,
        texts: 1,
        tokens: 7,
    };
    let good = stored_vector(&known, &document("1", "q", "a"));
    let mut wrong = stored_vector(&known, &document("2", "q", "b"));
    wrong.key.space = version("unknown").space.id;
    refused(
        store
            .put_embeddings(&[good.clone(), wrong], &spend, Timestamp(21))
            .await,
        StoreErrorKind::Model,
    );
    assert_eq!(
        store.runs(&faq(), 1).await.unwrap(),
        std::slice::from_ref(&line)
    );

    // A vector that is there already costs nothing to store; asking for it again did cost.
    for _ in 0..2 {
        store
            .put_embeddings(std::slice::from_ref(&good), &spend, Timestamp(22))
            .await
            .unwrap();
    }
    // A refusal brings no vector and is paid for.
    store
        .put_embeddings(&[], &spend, Timestamp(23))
        .await
        .unwrap();
    // A run that nobody has recorded spends on no line of another.
    let unknown = Spend {
        run: run("unrecorded"),
        ..spend
    };
    store
        .put_embeddings(&[], &unknown, Timestamp(24))
        .await
        .unwrap();
    let spent = RunRecord {
        requests: line.requests + 6,
        texts: line.texts + 3,
        tokens: line.tokens + 21,
        ..line
    };
    assert_eq!(
        store.runs(&faq(), 10).await.unwrap(),
        std::slice::from_ref(&spent)
    );
    let harness = harness.reopen().await;
    assert_eq!(harness.store().runs(&faq(), 10).await.unwrap(), [spent]);
}
