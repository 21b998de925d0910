//! What a copy of a whole store lives on: every vector with its time, every name that rows have for one, every run.

use futures_util::TryStreamExt;

use super::fixture::{
    DIMENSIONS, change, collection, document, documents, embedding, faq, fill, filled, put, run,
    stored_vector, unpaid, vector_key, version,
};
use super::versions::bind;
use super::{Harness, refused, snapshot};
use crate::{
    ContentHash, EmbeddingStore, Generation, KeptVector, RunKind, RunRecord, RunState, SpaceId,
    StoreErrorKind, StoredVector, Timestamp,
};

async fn kept(store: &dyn EmbeddingStore, space: &SpaceId) -> Vec<KeptVector> {
    store.vectors(space).try_collect().await.unwrap()
}

/// Every vector of a space comes by name, imported and unreferenced ones included, bit for bit and with its time.
pub async fn vectors_come_in_the_order_of_their_names<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, rows) = filled(&harness, 300).await;
    let two = version("two");
    put(store, &two, &rows[..1]).await;
    let mut imported = stored_vector(&one, &rows[7]);
    for seed in ["x", "y"] {
        imported.embedding = embedding(seed, DIMENSIONS);
        imported.key.variant = Some(ContentHash::of(&imported.embedding.to_le_bytes()));
        store
            .put_embeddings(&[imported.clone()], &unpaid("import"), Timestamp(9))
            .await
            .unwrap();
    }
    let harness = harness.reopen().await;
    let store = harness.store();
    let found = kept(store, &one.space.id).await;
    assert_eq!(found.len(), 302);
    let names: Vec<_> = found.iter().map(|kept| &kept.vector.key).collect();
    assert!(
        names.is_sorted_by(|a, b| a < b),
        "in the order of their names"
    );
    for row in &rows {
        let expected = KeptVector {
            vector: stored_vector(&one, row),
            stored_at: Timestamp(1_500),
        };
        assert!(found.contains(&expected), "{}", row.key.document);
    }
    let last = KeptVector {
        vector: imported,
        stored_at: Timestamp(9),
    };
    assert!(found.contains(&last));
    assert_eq!(kept(store, &two.space.id).await.len(), 1);
    assert!(kept(store, &version("three").space.id).await.is_empty());
}

/// What is stored or pruned after the first vector was read is not noticed.
pub async fn a_running_read_of_vectors_sees_one_moment<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, _) = filled(&harness, 400).await;
    let before = kept(store, &one.space.id).await;
    let mut running = store.vectors(&one.space.id);
    let first = running.try_next().await.unwrap().unwrap();
    let more: Vec<_> = (0..50)
        .map(|n| document(&format!("new-{n}"), &format!("Новый {n}?"), "Да."))
        .collect();
    put(store, &one, &more).await;
    let mut found = vec![first];
    while let Some(vector) = running.try_next().await.unwrap() {
        found.push(vector);
    }
    assert_eq!(found, before);
    assert_eq!(kept(store, &one.space.id).await.len(), 450);
}

/// Vectors of another store keep the time they were paid for; one that is there already stays as it is.
pub async fn adopted_vectors_keep_their_times<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, rows) = filled(&harness, 1).await;
    let mut foreign: Vec<_> = documents(4)
        .iter()
        .map(|row| KeptVector {
            vector: stored_vector(&one, row),
            stored_at: Timestamp(0),
        })
        .collect();
    for (at, kept) in foreign.iter_mut().enumerate() {
        kept.stored_at = Timestamp(10 + at as i64);
    }
    assert_eq!(foreign[0].vector.key, vector_key(&one, &rows[0]));
    foreign[0].vector.embedding = embedding("other", DIMENSIONS);
    store.adopt(&foreign, &run("copy")).await.unwrap();
    store.adopt(&foreign[2..], &run("copy")).await.unwrap();
    let harness = harness.reopen().await;
    let store = harness.store();
    foreign[0] = KeptVector {
        vector: stored_vector(&one, &rows[0]),
        stored_at: Timestamp(1_500),
    };
    foreign.sort_by(|a, b| a.vector.key.cmp(&b.vector.key));
    assert_eq!(kept(store, &one.space.id).await, foreign);
    let stats = store.cache_stats().await.unwrap();
    assert_eq!((stats.vectors, stats.unreferenced), (4, 3));
    assert_eq!(stats.oldest, Some(Timestamp(11)));
    assert!(store.check().await.unwrap().is_ok());
    // Pruned by the time they came with.
    assert_eq!(store.prune(Timestamp(12)).await.unwrap(), 1);
    assert!(store.ledger().await.unwrap().is_empty());
}

/// A batch with one vector of another length, or of a space that is not there, stores nothing.
pub async fn what_cannot_be_adopted_stores_nothing<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, _) = filled(&harness, 1).await;
    let good = KeptVector {
        vector: stored_vector(&one, &document("n", "Новый?", "Да.")),
        stored_at: Timestamp(1),
    };
    let mut long = good.clone();
    long.vector.embedding = embedding("long", DIMENSIONS + 1);
    let mut homeless = good.clone();
    homeless.vector.key.space = version("two").space.id;
    let before = snapshot(store).await;
    for bad in [long, homeless] {
        let batch = [good.clone(), bad];
        refused(
            store.adopt(&batch, &run("copy")).await,
            StoreErrorKind::Model,
        );
        assert_eq!(snapshot(store).await, before);
    }
}

/// Rows tell their vector's name in every version, as far as they have one.
pub async fn bindings_are_told_for_every_version<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, rows) = filled(&harness, 5).await;
    let two = version("two");
    let part = bind(store, &two, &rows[1..3]).await;
    store.apply(part).await.unwrap();
    let harness = harness.reopen().await;
    let store = harness.store();
    for (made, rows) in [(&one, &rows[..]), (&two, &rows[1..3])] {
        let expected: Vec<_> = rows
            .iter()
            .map(|row| (row.key.clone(), vector_key(made, row)))
            .collect();
        let found = store.bindings(&faq(), &made.id).await.unwrap();
        assert_eq!(found, (Generation(2), expected));
    }
    let none = store.bindings(&faq(), &version("three").id).await.unwrap();
    assert_eq!(none, (Generation(2), Vec::new()));
    let none = store.bindings(&collection("x"), &one.id).await.unwrap();
    assert_eq!(none, (Generation(0), Vec::new()));
}

/// An imported vector is told with its variant.
pub async fn a_binding_names_the_variant<H: Harness>(harness: H) {
    let store = harness.store();
    let one = version("one");
    let rows = documents(2);
    fill(store, &one, &rows).await;
    let mut vector: StoredVector = stored_vector(&one, &rows[1]);
    vector.embedding = embedding("imported", DIMENSIONS);
    vector.key.variant = Some(ContentHash::of(&vector.embedding.to_le_bytes()));
    store
        .put_embeddings(&[vector.clone()], &unpaid("import"), Timestamp(9))
        .await
        .unwrap();
    let mut changes = change(Generation(1));
    changes.binds = vec![(
        rows[1].key.clone(),
        crate::Binding {
            version: one.id.clone(),
            vector: vector.key.clone(),
        },
    )];
    store.apply(changes).await.unwrap();
    let (_, found) = store.bindings(&faq(), &one.id).await.unwrap();
    assert_eq!(found[1].1, vector.key);
}

/// The whole ledger, oldest first: runs of collections that never came to be were paid for all the same.
pub async fn the_ledger_holds_every_run<H: Harness>(harness: H) {
    let store = harness.store();
    filled(&harness, 1).await;
    let record = |id: &str, of: &str, started_at: i64| RunRecord {
        id: run(id),
        kind: RunKind::Sync,
        collection: collection(of),
        source: None,
        version: None,
        state: RunState::Failed,
        requests: 1,
        texts: 2,
        tokens: 3,
        started_at: Timestamp(started_at),
        finished_at: Some(Timestamp(started_at + 1)),
    };
    let runs = [
        record("c", "never", 10),
        record("a", "faq", 20),
        record("b", "faq", 20),
        record("0", "other", 30),
    ];
    for run in runs.iter().rev() {
        store.record_run(run).await.unwrap();
    }
    let harness = harness.reopen().await;
    assert_eq!(harness.store().ledger().await.unwrap(), runs);
}
