//! What is kept beside versions, and how long: notes, canaries, and the vectors of versions that are deleted.

use futures_util::TryStreamExt;

use super::fixture::{
    DIMENSIONS, change, collection, document, embedding, faq, filled, put, row, stored_vector,
    version,
};
use super::versions::bind;
use super::{Harness, refused, snapshot};
use crate::{Canaries, Canary, Filter, Generation, StoreErrorKind, Timestamp, VersionNote};

/// Notes stay with their version, and readers of rows notice nothing.
pub async fn notes_stay_with_their_version<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, _) = filled(&harness, 1).await;
    for text in ["{\"threshold\":0.1}", "{\"threshold\":0.8}"] {
        let note = VersionNote::Calibration(text);
        store.annotate(&faq(), &one.id, note).await.unwrap();
    }
    let note = VersionNote::Evaluation("{\"top3\":0.9}");
    store.annotate(&faq(), &one.id, note).await.unwrap();
    let harness = harness.reopen().await;
    let status = harness.store().status().await.unwrap();
    let found = status.collection(&faq()).unwrap();
    assert_eq!(found.generation, Generation(1));
    let version = found.active_version().unwrap();
    assert_eq!(version.calibration.as_deref(), Some("{\"threshold\":0.8}"));
    assert_eq!(version.evaluation.as_deref(), Some("{\"top3\":0.9}"));
}

/// Deleting frees what nobody else refers to, and leaves alone what serves, what a rollback needs and what is built.
pub async fn only_a_retired_version_is_deleted<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, rows) = filled(&harness, 2).await;
    let (two, three) = (version("two"), version("three"));
    for version in [&two, &three] {
        let mut flip = bind(store, version, &rows).await;
        flip.activate = Some(version.id.clone());
        store.apply(flip).await.unwrap();
    }
    let four = version("four");
    let part = bind(store, &four, &rows[..1]).await;
    store.apply(part).await.unwrap();
    put(store, &one, &[document("x", "Ничей?", "Ничей.")]).await;
    let before = snapshot(store).await;
    for kept in [&two, &three, &four] {
        refused(
            store.delete_version(&faq(), &kept.id, false).await,
            StoreErrorKind::Invalid,
        );
    }
    assert_eq!(snapshot(store).await, before);
    let bytes = 4 * u64::from(DIMENSIONS);
    let freed = store.delete_version(&faq(), &one.id, false).await.unwrap();
    // Two that rows referred to, one that nobody did: the whole space goes.
    assert_eq!((freed.vectors, freed.bytes), (3, 3 * bytes));
    let freed = store.delete_version(&faq(), &four.id, true).await.unwrap();
    assert_eq!((freed.vectors, freed.bytes), (1, bytes));
    let status = store.status().await.unwrap();
    let mut spaces: Vec<_> = status.spaces.iter().map(|space| &space.id).collect();
    let mut expected = [&two.space.id, &three.space.id];
    spaces.sort();
    expected.sort();
    assert_eq!(spaces, expected);
    assert_eq!(status.generation, before.generation);
    let after = snapshot(store).await.collections.remove(0);
    assert_eq!(after.records, before.collections[0].records);
    assert!(store.check().await.unwrap().is_ok());
}

/// A vector that another version or another collection refers to outlives a deleted version.
pub async fn a_shared_vector_outlives_a_deleted_version<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, rows) = filled(&harness, 1).await;
    let (two, three) = (version("two"), version("three"));
    let mut foreign = rows[0].clone();
    foreign.key.collection = collection("other");
    let mut changes = change(Generation(0));
    changes.collection = collection("other");
    changes.source = None;
    changes.upserts = vec![row(&foreign, &[&one])];
    changes.register = Some(one.spec.clone());
    changes.activate = Some(one.id.clone());
    store.apply(changes).await.unwrap();
    for version in [&two, &three] {
        let mut flip = bind(store, version, &rows).await;
        flip.activate = Some(version.id.clone());
        store.apply(flip).await.unwrap();
    }
    let freed = store.delete_version(&faq(), &one.id, false).await.unwrap();
    assert_eq!(freed.vectors, 0);
    let scanned: Vec<_> = store
        .scan(&collection("other"), None, Filter::default())
        .try_collect()
        .await
        .unwrap();
    assert_eq!(
        scanned[0].embedding,
        stored_vector(&one, &rows[0]).embedding
    );
    assert!(store.check().await.unwrap().is_ok());
}

/// Canaries are kept with the vector they had first, and every look is remembered.
pub async fn canaries_keep_their_first_vector<H: Harness>(harness: H) {
    let store = harness.store();
    let one = version("one");
    let canary = |text: &str, seed: &str| Canary {
        text: text.to_owned(),
        embedding: embedding(seed, DIMENSIONS),
    };
    let first = [canary("б", "1"), canary("a", "2")];
    refused(
        store
            .record_canaries(&one.space.id, &first, Timestamp(1))
            .await,
        StoreErrorKind::Model,
    );
    assert_eq!(
        store.canaries(&one.space.id).await.unwrap(),
        Canaries::default()
    );
    store.register_space(&one.space).await.unwrap();
    store
        .record_canaries(&one.space.id, &first, Timestamp(1))
        .await
        .unwrap();
    let wrong = Canary {
        embedding: embedding("w", DIMENSIONS + 1),
        ..canary("w", "w")
    };
    refused(
        store
            .record_canaries(&one.space.id, &[wrong], Timestamp(2))
            .await,
        StoreErrorKind::Model,
    );
    store
        .record_canaries(&one.space.id, &[canary("a", "other")], Timestamp(3))
        .await
        .unwrap();
    let harness = harness.reopen().await;
    let found = harness.store().canaries(&one.space.id).await.unwrap();
    assert_eq!(found.texts, [canary("a", "2"), canary("б", "1")]);
    assert_eq!(found.checked_at, Some(Timestamp(3)));
}
