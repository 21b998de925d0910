//! What outlives the process. A store without a place passes trivially.

use std::collections::{BTreeMap, BTreeSet};

use super::fixture::{
    binding, change, document, documents, faq, fill, input, put, row, run, version,
};
use super::{Harness, snapshot};
use crate::{Generation, Locator, MetadataValue, RunKind, RunRecord, RunState, Timestamp};

/// Vectors that were paid for are there after a crash before `apply`; the rows are not; the next run goes on.
pub async fn paid_vectors_survive_a_crash_before_apply<H: Harness>(harness: H) {
    let (one, rows) = (version("one"), documents(20));
    put(harness.store(), &one, &rows).await;
    let harness = harness.reopen().await;
    let store = harness.store();
    let status = store.status().await.unwrap();
    assert!(status.collections.is_empty());
    assert_eq!(status.spaces, std::slice::from_ref(&one.space));
    let asked: BTreeSet<_> = rows.iter().map(input).collect();
    let found = store.stored_vectors(&one.space.id, &asked).await.unwrap();
    assert_eq!(found, asked.iter().map(|input| (*input, None)).collect());
    let mut changes = change(Generation(0));
    changes.upserts = rows.iter().map(|document| row(document, &[&one])).collect();
    changes.register = Some(one.spec.clone());
    changes.activate = Some(one.id.clone());
    store.apply(changes.clone()).await.unwrap();
    assert!(store.check().await.unwrap().is_ok());
}

/// Everything a reader sees, metadata types, places, bits and ledger included, is the same after reopening.
pub async fn reopening_keeps_everything<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, two) = (version("one"), version("two"));
    let mut rows = documents(30);
    rows[0].metadata = BTreeMap::from([
        ("whole".to_owned(), MetadataValue::I64(1)),
        ("real".to_owned(), MetadataValue::F64(1.0)),
        (
            "list".to_owned(),
            MetadataValue::List(vec![MetadataValue::Bool(true)]),
        ),
    ]);
    rows[1].locator = Locator {
        sheet: Some("Лист".into()),
        row: Some(3),
        page: Some(4),
        span: Some((5, 6)),
    };
    rows[2].category = None;
    fill(store, &one, &rows).await;
    put(store, &two, &rows).await;
    let mut flip = change(Generation(1));
    flip.binds = rows
        .iter()
        .map(|document| (document.key.clone(), binding(&two, document)))
        .collect();
    flip.register = Some(two.spec.clone());
    flip.activate = Some(two.id.clone());
    store.apply(flip.clone()).await.unwrap();
    put(store, &one, &[document("lost", "Ничей?", "Ничей.")]).await;
    store
        .record_run(&RunRecord {
            id: run("run"),
            kind: RunKind::Recompute,
            collection: faq(),
            source: None,
            version: Some(two.id.clone()),
            state: RunState::Finished,
            requests: 1,
            texts: 2,
            tokens: 3,
            started_at: Timestamp(4),
            finished_at: Some(Timestamp(5)),
        })
        .await
        .unwrap();
    let before = snapshot(store).await;
    let harness = harness.reopen().await;
    assert_eq!(snapshot(harness.store()).await, before);
    let harness = harness.reopen().await;
    assert_eq!(snapshot(harness.store()).await, before);
    assert!(harness.store().check().await.unwrap().is_ok());
}
