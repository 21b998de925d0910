//! Vectors by content: shared, idempotent, and deleted by `prune` alone.

use std::collections::{BTreeMap, BTreeSet};

use super::fixture::{
    DIMENSIONS, Made, binding, change, document, documents, embedding, faq, fill, filled, input,
    put, row, stored_vector, unpaid, vector_key, version,
};
use super::{Harness, refused, snapshot};
use crate::{
    ContentHash, Filter, Generation, InputHash, SpaceId, StoreErrorKind, StoredVector, Timestamp,
    VectorKey,
};
use futures_util::TryStreamExt;

fn imported(version: &Made, input: InputHash, seed: &str) -> StoredVector {
    let embedding = embedding(seed, DIMENSIONS);
    StoredVector {
        key: VectorKey {
            space: version.space.id.clone(),
            input,
            variant: Some(ContentHash::of(&embedding.to_le_bytes())),
        },
        embedding,
    }
}

/// Rows with equal texts refer to one vector, across documents.
pub async fn equal_texts_share_one_vector<H: Harness>(harness: H) {
    let store = harness.store();
    let one = version("one");
    let mut twin = document("b", "Тот же?", "Тот же.");
    twin.category = Some("Другая".into());
    let rows = [document("a", "Тот же?", "Тот же."), twin];
    fill(store, &one, &rows).await;
    assert_eq!(store.cache_stats().await.unwrap().vectors, 1);
    let records = snapshot(store).await.collections.remove(0).records;
    assert_eq!(records.len(), 2);
    assert_eq!(records[0].embedding, records[1].embedding);
    // The one that is left keeps the vector.
    let mut changes = change(Generation(1));
    changes.deletes = vec![rows[0].key.clone()];
    store.apply(changes.clone()).await.unwrap();
    assert_eq!(store.prune(Timestamp(i64::MAX)).await.unwrap(), 0);
}

/// Lookups say which variant to refer to: ours first, else the smallest imported one.
pub async fn a_computed_vector_is_preferred_to_imported_ones<H: Harness>(harness: H) {
    let store = harness.store();
    let one = version("one");
    let (both, alone, absent) = (
        document("a", "Оба?", "Да."),
        document("b", "Один?", "Да."),
        document("c", "Никого?", "Нет."),
    );
    put(store, &one, std::slice::from_ref(&both)).await;
    let mut variants = [
        imported(&one, input(&alone), "x"),
        imported(&one, input(&alone), "y"),
    ];
    variants.sort_by(|a, b| a.key.cmp(&b.key));
    let mut batch = vec![imported(&one, input(&both), "z")];
    batch.extend(variants.iter().rev().cloned());
    store
        .put_embeddings(&batch, &unpaid("import"), Timestamp(1))
        .await
        .unwrap();
    let asked = BTreeSet::from([input(&both), input(&alone), input(&absent)]);
    let found = store.stored_vectors(&one.space.id, &asked).await.unwrap();
    assert_eq!(
        found,
        BTreeMap::from([
            (input(&both), None),
            (input(&alone), variants[0].key.variant)
        ])
    );
    let nothing = store
        .stored_vectors(&SpaceId::from_stored("unknown"), &asked)
        .await
        .unwrap();
    assert!(nothing.is_empty());
    // A row that refers to an imported vector is served exactly that one.
    let mut changes = change(Generation(0));
    changes.upserts = vec![crate::Row::new(
        alone,
        vec![crate::Binding {
            version: one.id.clone(),
            vector: variants[1].key.clone(),
        }],
    )];
    changes.register = Some(one.spec.clone());
    changes.activate = Some(one.id.clone());
    store.apply(changes.clone()).await.unwrap();
    let seen = snapshot(store).await.collections.remove(0);
    assert_eq!(seen.records[0].embedding, variants[1].embedding);
    assert_eq!(seen.fingerprints[0].vector.as_ref(), Some(&variants[1].key));
    assert!(store.check().await.unwrap().is_ok());
}

/// A vector that is stored stays as it is, however often it is stored again.
pub async fn storing_twice_keeps_the_first<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, rows) = filled(&harness, 2).await;
    let before = snapshot(store).await;
    let again: Vec<_> = rows
        .iter()
        .chain(&rows)
        .map(|document| StoredVector {
            key: vector_key(&one, document),
            embedding: embedding("something else", DIMENSIONS),
        })
        .collect();
    store
        .put_embeddings(&again, &unpaid("again"), Timestamp(9_000))
        .await
        .unwrap();
    store
        .put_embeddings(&[], &unpaid("again"), Timestamp(9_000))
        .await
        .unwrap();
    assert_eq!(snapshot(store).await, before);
}

/// One vector of another length, and nothing of its batch is stored.
pub async fn wrong_dimensions_store_nothing<H: Harness>(harness: H) {
    let store = harness.store();
    let one = version("one");
    store.register_space(&one.space).await.unwrap();
    for dimensions in [DIMENSIONS - 1, DIMENSIONS + 1, 2 * DIMENSIONS] {
        let rows = documents(3);
        let mut batch: Vec<_> = rows
            .iter()
            .map(|document| stored_vector(&one, document))
            .collect();
        batch[2].embedding = embedding("long", dimensions);
        refused(
            store
                .put_embeddings(&batch, &unpaid("run"), Timestamp(1))
                .await,
            StoreErrorKind::Model,
        );
    }
    assert_eq!(store.cache_stats().await.unwrap().vectors, 0);
}

/// Vectors of a version nobody registered are refused, and nothing of their batch is stored.
pub async fn an_unregistered_version_is_refused<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, two) = (version("one"), version("two"));
    store.register_space(&one.space).await.unwrap();
    let rows = documents(2);
    let batch = [stored_vector(&one, &rows[0]), stored_vector(&two, &rows[1])];
    refused(
        store
            .put_embeddings(&batch, &unpaid("run"), Timestamp(1))
            .await,
        StoreErrorKind::Model,
    );
    assert_eq!(store.cache_stats().await.unwrap().vectors, 0);
}

/// Pruning takes what no row of any version refers to, and nothing else.
pub async fn prune_spares_what_is_referenced<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, rows) = filled(&harness, 4).await;
    let two = version("two");
    put(store, &two, &rows).await;
    let mut changes = change(Generation(1));
    changes.binds = rows
        .iter()
        .map(|document| (document.key.clone(), binding(&two, document)))
        .collect();
    changes.register = Some(two.spec.clone());
    changes.activate = Some(two.id.clone());
    store.apply(changes.clone()).await.unwrap();
    // Both versions are referenced, the one served and the one a rollback would serve.
    assert_eq!(store.prune(Timestamp(i64::MAX)).await.unwrap(), 0);
    put(store, &two, &[document("x", "Ничей?", "Ничей.")]).await;
    let mut changes = change(Generation(2));
    changes.deletes = vec![rows[0].key.clone()];
    store.apply(changes.clone()).await.unwrap();
    let stats = store.cache_stats().await.unwrap();
    assert_eq!((stats.vectors, stats.unreferenced), (9, 3));
    assert_eq!(stats.unreferenced_bytes, 3 * 4 * u64::from(DIMENSIONS));
    assert_eq!(stats.oldest, Some(Timestamp(1_500)));
    let before = snapshot(store).await.collections;
    assert_eq!(store.prune(Timestamp(i64::MAX)).await.unwrap(), 3);
    assert_eq!(store.cache_stats().await.unwrap().vectors, 6);
    assert_eq!(snapshot(store).await.collections, before);
    let gone = BTreeSet::from([input(&rows[0])]);
    assert!(
        store
            .stored_vectors(&one.space.id, &gone)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(store.check().await.unwrap().is_ok());
}

/// Pruning never takes a vector of a version that is being built, and does not count it as free.
pub async fn prune_spares_what_is_being_built<H: Harness>(harness: H) {
    let store = harness.store();
    let (_, rows) = filled(&harness, 2).await;
    put(store, &version("two"), &rows).await;
    let stats = store.cache_stats().await.unwrap();
    assert_eq!(
        (stats.vectors, stats.unreferenced, stats.oldest),
        (4, 0, None)
    );
    assert_eq!(store.prune(Timestamp(i64::MAX)).await.unwrap(), 0);
    assert_eq!(store.cache_stats().await.unwrap().vectors, 4);
}

/// Pruning takes what was stored before the given instant, not at it.
pub async fn prune_goes_by_time<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, _) = filled(&harness, 1).await;
    for (at, id) in [(10, "a"), (20, "b"), (30, "c")] {
        let vector = stored_vector(&one, &document(id, id, id));
        store
            .put_embeddings(&[vector], &unpaid("run"), Timestamp(at))
            .await
            .unwrap();
    }
    assert_eq!(store.prune(Timestamp(10)).await.unwrap(), 0);
    assert_eq!(store.prune(Timestamp(20)).await.unwrap(), 1);
    assert_eq!(
        store.cache_stats().await.unwrap().oldest,
        Some(Timestamp(20))
    );
    assert_eq!(store.prune(Timestamp(31)).await.unwrap(), 2);
    let records: Vec<_> = store
        .scan(&faq(), None, Filter::default())
        .try_collect()
        .await
        .unwrap();
    assert_eq!(records.len(), 1);
}

/// Lookups take any number of inputs and keys.
pub async fn many_inputs_are_looked_up<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, rows) = filled(&harness, 3_000).await;
    let mut asked: BTreeSet<_> = rows.iter().map(input).collect();
    assert_eq!(asked.len(), 3_000);
    asked.extend((0..3_000).map(|n| InputHash::of(&format!("absent {n}"))));
    let found = store.stored_vectors(&one.space.id, &asked).await.unwrap();
    assert_eq!(found.len(), 3_000);
    let keys: Vec<_> = rows.iter().map(|row| row.key.clone()).collect();
    assert_eq!(store.documents(&keys).await.unwrap(), rows);
    let mut changes = change(Generation(1));
    changes.upserts = vec![row(&rows[0], &[&one])];
    store.apply(changes.clone()).await.unwrap();
}
