//! Versions: the pointer a flip moves, and what becomes of rows that were left behind.

use super::fixture::{
    DIMENSIONS, change, document, embedding, faq, filled, model, put, row, stored_vector, unpaid,
    vector_key, version,
};
use super::{Harness, refused, snapshot};
use crate::{
    ContentHash, EmbeddingStore, EmbeddingVersion, Generation, StoreErrorKind, StoredVector,
    Timestamp, VectorKey, VersionId, VersionState,
};

async fn pointers(store: &dyn EmbeddingStore) -> (Option<VersionId>, Option<VersionId>) {
    let status = store.status().await.unwrap();
    let found = status.collection(&faq()).unwrap();
    (found.active.clone(), found.previous.clone())
}

/// A flip that also edits a row shows both or neither.
pub async fn the_pointer_flips_with_the_rows<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, rows) = filled(&harness, 2).await;
    let two = EmbeddingVersion::new(model("two", 3), "", "hash", Timestamp(2_000));
    put(store, &two, &rows).await;
    assert_eq!(pointers(store).await, (Some(one.id.clone()), None));
    let mut changes = change(Generation(1));
    changes.upserts = rows.iter().map(|document| row(document, &[&two])).collect();
    changes.activate = Some(two.id.clone());
    store.apply(changes.clone()).await.unwrap();
    assert_eq!(
        pointers(store).await,
        (Some(two.id.clone()), Some(one.id.clone()))
    );
    let seen = snapshot(store).await.collections.remove(0);
    for (record, document) in seen.records.iter().zip(&rows) {
        assert_eq!(record.embedding, stored_vector(&two, document).embedding);
    }
    let ids: Vec<_> = store
        .status()
        .await
        .unwrap()
        .versions
        .into_iter()
        .map(|version| version.id)
        .collect();
    assert_eq!(ids, [one.id, two.id]);
}

/// Rows that did not change get their vector of the new version in the flip itself.
pub async fn unchanged_rows_are_bound_in_the_flip<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, rows) = filled(&harness, 3).await;
    let two = version("two");
    put(store, &two, &rows).await;
    let before = snapshot(store).await.collections.remove(0);
    let mut changes = change(Generation(1));
    changes.binds = rows
        .iter()
        .map(|document| (document.key.clone(), vector_key(&two.id, document)))
        .collect();
    changes.activate = Some(two.id.clone());
    store.apply(changes.clone()).await.unwrap();
    let after = snapshot(store).await.collections.remove(0);
    assert_eq!(after.status.missing, 0);
    for (position, document) in rows.iter().enumerate() {
        assert_eq!(
            after.records[position].document,
            before.records[position].document
        );
        assert_ne!(
            after.records[position].embedding,
            before.records[position].embedding
        );
        assert_eq!(
            after.fingerprints[position].vector,
            Some(vector_key(&two.id, document))
        );
    }
    assert_eq!(
        pointers(store).await,
        (Some(two.id.clone()), Some(one.id.clone()))
    );
    assert!(store.check().await.unwrap().is_ok());
}

/// A version that lacks the vector of one row cannot be served.
pub async fn a_flip_needs_every_vector<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, rows) = filled(&harness, 3).await;
    let two = version("two");
    put(store, &two, &rows).await;
    let before = snapshot(store).await;
    let mut changes = change(Generation(1));
    changes.binds = rows[..2]
        .iter()
        .map(|document| (document.key.clone(), vector_key(&two.id, document)))
        .collect();
    changes.activate = Some(two.id.clone());
    refused(store.apply(changes.clone()).await, StoreErrorKind::Model);
    assert_eq!(snapshot(store).await, before);
    assert_eq!(pointers(store).await, (Some(one.id), None));
}

/// Going back is the pointer again: no row and no vector is written.
pub async fn a_rollback_is_the_pointer_again<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, rows) = filled(&harness, 2).await;
    let first = snapshot(store).await.collections.remove(0);
    let two = version("two");
    put(store, &two, &rows).await;
    let mut changes = change(Generation(1));
    changes.binds = rows
        .iter()
        .map(|document| (document.key.clone(), vector_key(&two.id, document)))
        .collect();
    changes.activate = Some(two.id.clone());
    store.apply(changes.clone()).await.unwrap();
    let mut back = change(Generation(2));
    back.activate = Some(one.id.clone());
    store.apply(back.clone()).await.unwrap();
    assert_eq!(
        pointers(store).await,
        (Some(one.id.clone()), Some(two.id.clone()))
    );
    let again = snapshot(store).await.collections.remove(0);
    assert_eq!(again.records, first.records);
    assert_eq!(again.fingerprints, first.fingerprints);
    // Serving what is served already moves no pointer.
    let mut same = change(Generation(3));
    same.activate = Some(one.id.clone());
    store.apply(same.clone()).await.unwrap();
    assert_eq!(pointers(store).await, (Some(one.id), Some(two.id)));
    assert!(store.check().await.unwrap().is_ok());
}

/// A row that is replaced keeps no vector of a version it was not given: that vector may be of an older text.
pub async fn a_replaced_row_drops_its_other_vectors<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, rows) = filled(&harness, 2).await;
    let two = version("two");
    put(store, &two, &rows).await;
    let mut changes = change(Generation(1));
    changes.binds = rows
        .iter()
        .map(|document| (document.key.clone(), vector_key(&two.id, document)))
        .collect();
    changes.activate = Some(two.id.clone());
    store.apply(changes.clone()).await.unwrap();

    let edited = document("id-0000", "Правка?", "Да.");
    put(store, &two, std::slice::from_ref(&edited)).await;
    let mut changes = change(Generation(2));
    changes.upserts = vec![row(&edited, &[&two])];
    store.apply(changes.clone()).await.unwrap();

    let mut back = change(Generation(3));
    back.activate = Some(one.id.clone());
    refused(store.apply(back.clone()).await, StoreErrorKind::Model);
    put(store, &one, std::slice::from_ref(&edited)).await;
    back.binds = vec![(edited.key.clone(), vector_key(&one.id, &edited))];
    store.apply(back.clone()).await.unwrap();
    assert!(store.check().await.unwrap().is_ok());
}

/// A bind in a version the row has a vector of replaces that vector.
pub async fn a_bind_replaces_a_vector<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, rows) = filled(&harness, 2).await;
    let imported = embedding("imported", DIMENSIONS);
    let key = VectorKey {
        variant: Some(ContentHash::of(&imported.to_le_bytes())),
        ..vector_key(&one.id, &rows[0])
    };
    let vector = StoredVector {
        key: key.clone(),
        embedding: imported.clone(),
    };
    store
        .put_embeddings(&[vector], &unpaid("import"), Timestamp(5))
        .await
        .unwrap();
    let mut changes = change(Generation(1));
    changes.binds = vec![(rows[0].key.clone(), key.clone())];
    store.apply(changes.clone()).await.unwrap();
    let seen = snapshot(store).await.collections.remove(0);
    assert_eq!(seen.records[0].embedding, imported);
    assert_eq!(seen.fingerprints[0].vector, Some(key));
    assert_eq!(
        seen.records[1].embedding,
        stored_vector(&one, &rows[1]).embedding
    );
}

/// Registering again changes nothing, whoever registers.
pub async fn a_version_stays_as_registered<H: Harness>(harness: H) {
    let store = harness.store();
    let one = version("one");
    store.register_version(&one).await.unwrap();
    let mut again = one.clone();
    again.provider = "elsewhere".into();
    again.state = VersionState::Ready;
    again.created_at = Timestamp(77);
    store.register_version(&again).await.unwrap();
    let nonce = EmbeddingVersion::new(one.model.clone(), "forced", "hash", Timestamp(500));
    store.register_version(&nonce).await.unwrap();
    assert_eq!(store.status().await.unwrap().versions, [nonce, one]);
}

/// Serving makes a version ready; one that nobody serves any longer is kept for a rollback.
pub async fn states_follow_the_pointer<H: Harness>(harness: H) {
    let store = harness.store();
    let one = version("one");
    store.register_version(&one).await.unwrap();
    let state = async |id: &VersionId| store.status().await.unwrap().version(id).unwrap().state;
    assert_eq!(state(&one.id).await, VersionState::Building);
    let (one, rows) = filled(&harness, 1).await;
    assert_eq!(state(&one.id).await, VersionState::Ready);
    let two = version("two");
    put(store, &two, &rows).await;
    let mut changes = change(Generation(1));
    changes.binds = vec![(rows[0].key.clone(), vector_key(&two.id, &rows[0]))];
    store.apply(changes.clone()).await.unwrap();
    assert_eq!(state(&two.id).await, VersionState::Building);
    let mut flip = change(Generation(2));
    flip.activate = Some(two.id.clone());
    store.apply(flip.clone()).await.unwrap();
    assert_eq!(state(&one.id).await, VersionState::Retired);
    assert_eq!(state(&two.id).await, VersionState::Ready);
    let mut back = change(Generation(3));
    back.activate = Some(one.id.clone());
    store.apply(back.clone()).await.unwrap();
    assert_eq!(state(&one.id).await, VersionState::Ready);
    assert_eq!(state(&two.id).await, VersionState::Retired);
}

/// A version nobody registered cannot be served.
pub async fn an_unknown_version_cannot_be_served<H: Harness>(harness: H) {
    let store = harness.store();
    let mut changes = change(Generation(0));
    changes.activate = Some(VersionId::from_stored("unknown"));
    refused(store.apply(changes.clone()).await, StoreErrorKind::Model);
    assert!(store.status().await.unwrap().collections.is_empty());
}
