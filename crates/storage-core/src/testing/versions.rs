//! Versions: the pointer a flip moves, and what becomes of rows that were left behind.

use futures_util::TryStreamExt;

use super::fixture::{
    DIMENSIONS, Made, binding, change, document, embedding, faq, filled, generation, made, model,
    put, row, stored_vector, unpaid, vector_key, version, version_of,
};
use super::{Harness, refused, snapshot};
use crate::{
    Binding, ChangeSet, ContentHash, Document, EmbedText, EmbeddingSpace, EmbeddingStore, Filter,
    Generation, StoreErrorKind, StoredVector, Timestamp, VersionId, VersionNote, VersionState,
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
    let two = version_of(model("two", 3), "");
    put(store, &two, &rows).await;
    assert_eq!(pointers(store).await, (Some(one.id.clone()), None));
    let mut changes = change(Generation(1));
    changes.upserts = rows.iter().map(|document| row(document, &[&two])).collect();
    changes.register = Some(two.spec.clone());
    changes.applied_at = Timestamp(3_000);
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
        .collections
        .remove(0)
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
        .map(|document| (document.key.clone(), binding(&two, document)))
        .collect();
    changes.register = Some(two.spec.clone());
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
            Some(vector_key(&two, document))
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
        .map(|document| (document.key.clone(), binding(&two, document)))
        .collect();
    changes.register = Some(two.spec.clone());
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
        .map(|document| (document.key.clone(), binding(&two, document)))
        .collect();
    changes.register = Some(two.spec.clone());
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
        .map(|document| (document.key.clone(), binding(&two, document)))
        .collect();
    changes.register = Some(two.spec.clone());
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
    back.binds = vec![(edited.key.clone(), binding(&one, &edited))];
    store.apply(back.clone()).await.unwrap();
    assert!(store.check().await.unwrap().is_ok());
}

/// A bind in a version the row has a vector of replaces that vector.
pub async fn a_bind_replaces_a_vector<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, rows) = filled(&harness, 2).await;
    let imported = embedding("imported", DIMENSIONS);
    let mut bound = binding(&one, &rows[0]);
    bound.vector.variant = Some(ContentHash::of(&imported.to_le_bytes()));
    let vector = StoredVector {
        key: bound.vector.clone(),
        embedding: imported.clone(),
    };
    store
        .put_embeddings(&[vector], &unpaid("import"), Timestamp(5))
        .await
        .unwrap();
    let mut changes = change(Generation(1));
    changes.binds = vec![(rows[0].key.clone(), bound.clone())];
    store.apply(changes.clone()).await.unwrap();
    let seen = snapshot(store).await.collections.remove(0);
    assert_eq!(seen.records[0].embedding, imported);
    assert_eq!(seen.fingerprints[0].vector, Some(bound.vector));
    assert_eq!(seen.status.versions[0].records, 2);
    assert_eq!(
        seen.records[1].embedding,
        stored_vector(&one, &rows[1]).embedding
    );
}

/// Registering a space again changes nothing, whoever registers.
pub async fn a_space_stays_as_registered<H: Harness>(harness: H) {
    let store = harness.store();
    let one = version("one").space;
    store.register_space(&one).await.unwrap();
    let mut again = one.clone();
    again.provider = "elsewhere".into();
    again.created_at = Timestamp(77);
    store.register_space(&again).await.unwrap();
    let nonce = EmbeddingSpace::new(one.model.clone(), "forced", "hash", Timestamp(500));
    store.register_space(&nonce).await.unwrap();
    assert_eq!(store.status().await.unwrap().spaces, [nonce, one]);
}

async fn state(store: &dyn EmbeddingStore, version: &Made) -> Option<(VersionState, u64)> {
    let status = store.status().await.unwrap();
    let found = status.collection(&faq())?.version(&version.id)?;
    Some((found.state, found.records))
}

/// Stores the vectors of these rows in a version, and binds them.
pub(super) async fn bind(
    store: &dyn EmbeddingStore,
    version: &Made,
    rows: &[Document],
) -> ChangeSet {
    put(store, version, rows).await;
    let mut changes = change(generation(store, &faq()).await);
    changes.register = Some(version.spec.clone());
    changes.binds = rows
        .iter()
        .map(|document| (document.key.clone(), binding(version, document)))
        .collect();
    changes
}

/// A version is building until it was complete once; what no rollback would serve any longer is retired.
pub async fn states_follow_the_pointer<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, rows) = filled(&harness, 2).await;
    let (two, three) = (version("two"), version("three"));
    let ready = Some((VersionState::Ready, 2));
    assert_eq!(state(store, &one).await, ready);
    let part = bind(store, &two, &rows[..1]).await;
    store.apply(part).await.unwrap();
    assert_eq!(state(store, &two).await, Some((VersionState::Building, 1)));
    let mut rest = bind(store, &two, &rows[1..]).await;
    rest.complete = Some(two.id.clone());
    store.apply(rest).await.unwrap();
    assert_eq!(state(store, &two).await, ready);
    assert_eq!(pointers(store).await, (Some(one.id.clone()), None));
    for (version, activated) in [(&two, false), (&three, true), (&one, false), (&two, false)] {
        let mut flip = bind(store, version, if activated { &rows } else { &[] }).await;
        flip.activate = Some(version.id.clone());
        store.apply(flip).await.unwrap();
    }
    assert_eq!(
        pointers(store).await,
        (Some(two.id.clone()), Some(one.id.clone()))
    );
    assert_eq!(state(store, &one).await, ready);
    assert_eq!(state(store, &two).await, ready);
    assert_eq!(state(store, &three).await, Some((VersionState::Retired, 2)));
    assert!(store.check().await.unwrap().is_ok());
}

/// A version of which a row lacks its vector is not complete, whatever is said.
pub async fn a_version_without_every_vector_is_not_complete<H: Harness>(harness: H) {
    let store = harness.store();
    let (_, rows) = filled(&harness, 3).await;
    let two = version("two");
    let mut changes = bind(store, &two, &rows[..2]).await;
    changes.complete = Some(two.id.clone());
    let before = snapshot(store).await;
    refused(store.apply(changes).await, StoreErrorKind::Model);
    assert_eq!(snapshot(store).await, before);
}

/// A version nobody registered cannot be served, filled, declared complete, read, noted on or deleted.
pub async fn an_unknown_version_cannot_be_served<H: Harness>(harness: H) {
    let store = harness.store();
    let unknown = VersionId::from_stored("unknown");
    let mut changes = change(Generation(0));
    changes.activate = Some(unknown.clone());
    refused(store.apply(changes).await, StoreErrorKind::Model);
    assert!(store.status().await.unwrap().collections.is_empty());
    let (_, rows) = filled(&harness, 1).await;
    let two = version("two");
    let before = snapshot(store).await;
    let mut changes = change(Generation(1));
    changes.register = Some(two.spec.clone());
    refused(store.apply(changes).await, StoreErrorKind::Model);
    assert_eq!(snapshot(store).await, before);
    put(store, &two, &rows).await;
    let mut changes = change(Generation(1));
    changes.binds = vec![(rows[0].key.clone(), binding(&two, &rows[0]))];
    refused(store.apply(changes).await, StoreErrorKind::Model);
    let mut changes = change(Generation(1));
    changes.complete = Some(two.id.clone());
    refused(store.apply(changes).await, StoreErrorKind::Model);
    let scanned = store
        .scan(&faq(), Some(&two.id), Filter::default())
        .try_collect::<Vec<_>>()
        .await;
    refused(scanned, StoreErrorKind::Model);
    let note = VersionNote::Calibration("{}");
    refused(
        store.annotate(&faq(), &two.id, note).await,
        StoreErrorKind::Model,
    );
    refused(
        store.delete_version(&faq(), &two.id, true).await,
        StoreErrorKind::Model,
    );
    let (_, keys) = store.unbound(&faq(), &two.id).await.unwrap();
    assert_eq!(keys, [rows[0].key.clone()]);
}

/// One space, two recipes: two versions that share the space's vectors and are switched like any others.
pub async fn two_recipes_are_two_versions_of_one_space<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, rows) = filled(&harness, 3).await;
    let two = made(
        one.space.clone(),
        EmbedText::parse("{category}: {question}").unwrap(),
    );
    let mut changes = bind(store, &two, &rows).await;
    changes.activate = Some(two.id.clone());
    store.apply(changes).await.unwrap();
    let status = store.status().await.unwrap();
    assert_eq!(status.spaces, std::slice::from_ref(&one.space));
    let found = status.collection(&faq()).unwrap();
    assert_eq!(
        found.embed_text().unwrap().unwrap().as_str(),
        "{category}: {question}"
    );
    let seen = snapshot(store).await.collections.remove(0);
    assert_eq!(
        seen.fingerprints[0].vector,
        Some(vector_key(&two, &rows[0]))
    );
    assert!(store.check().await.unwrap().is_ok());
    let mut back = change(Generation(2));
    back.activate = Some(one.id.clone());
    store.apply(back).await.unwrap();
    let seen = snapshot(store).await.collections.remove(0);
    assert_eq!(
        seen.fingerprints[0].vector,
        Some(vector_key(&one, &rows[0]))
    );
    assert!(store.check().await.unwrap().is_ok());
}

/// A row's vector must lie in the space of the version it is bound in.
pub async fn a_vector_of_another_space_is_refused<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, rows) = filled(&harness, 1).await;
    let two = version("two");
    put(store, &two, &rows).await;
    let mut changes = change(Generation(1));
    changes.register = Some(two.spec.clone());
    changes.binds = vec![(
        rows[0].key.clone(),
        Binding {
            version: two.id.clone(),
            vector: vector_key(&one, &rows[0]),
        },
    )];
    refused(store.apply(changes).await, StoreErrorKind::Model);
}

/// The rows a version lacks are named, with the generation they belong to; edits and deletes keep the count true.
pub async fn rows_without_a_vector_are_named<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, rows) = filled(&harness, 4).await;
    let two = version("two");
    let part = bind(store, &two, &rows[..3]).await;
    store.apply(part).await.unwrap();
    let (at, keys) = store.unbound(&faq(), &two.id).await.unwrap();
    assert_eq!((at, &keys[..]), (Generation(2), &[rows[3].key.clone()][..]));
    let edited = document("id-0000", "Правка?", "Да.");
    put(store, &one, std::slice::from_ref(&edited)).await;
    let mut changes = change(Generation(2));
    changes.upserts = vec![row(&edited, &[&one])];
    changes.deletes = vec![rows[1].key.clone()];
    store.apply(changes).await.unwrap();
    let (_, keys) = store.unbound(&faq(), &two.id).await.unwrap();
    assert_eq!(keys, [rows[0].key.clone(), rows[3].key.clone()]);
    assert_eq!(state(store, &two).await, Some((VersionState::Building, 1)));
    assert_eq!(state(store, &one).await, Some((VersionState::Ready, 3)));
    assert!(store.check().await.unwrap().is_ok());
}

/// Any version of a collection can be read while another one is served; one that lacks a row says so.
pub async fn a_version_is_read_beside_the_active_one<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, rows) = filled(&harness, 2).await;
    let two = version("two");
    let part = bind(store, &two, &rows[..1]).await;
    store.apply(part).await.unwrap();
    let read = async |version: &Made| {
        store
            .scan(&faq(), Some(&version.id), Filter::default())
            .map_ok(|record| record.embedding)
            .try_collect::<Vec<_>>()
            .await
    };
    refused(read(&two).await, StoreErrorKind::Model);
    let rest = bind(store, &two, &rows[1..]).await;
    store.apply(rest).await.unwrap();
    for version in [&one, &two] {
        let expected: Vec<_> = rows
            .iter()
            .map(|row| stored_vector(version, row).embedding)
            .collect();
        assert_eq!(read(version).await.unwrap(), expected);
    }
}
