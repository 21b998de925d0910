//! Who owns what: collections, sources, documents, and change sets that contradict themselves.

use super::fixture::{
    binding, change, collection, document, faq, fill, filled, key, put, row, run, source,
    source_id, version,
};
use super::{Harness, refused, snapshot};
use crate::{
    Binding, ChangeSet, ContentHash, DocumentKey, Generation, Locator, Relocation, Row,
    StoreErrorKind,
};

/// A change of one collection cannot name a row or a source of another.
pub async fn rows_of_another_collection_are_refused<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, rows) = filled(&harness, 1).await;
    let other = collection("other");
    let elsewhere = DocumentKey {
        collection: other.clone(),
        ..rows[0].key.clone()
    };
    let mut document = rows[0].clone();
    document.key = elsewhere.clone();
    let before = snapshot(store).await;
    let cases: [fn(&mut ChangeSet, DocumentKey, Row, Binding); 4] = [
        |changes, _, row, _| changes.upserts.push(row),
        |changes, key, _, _| changes.deletes.push(key),
        |changes, key, _, _| {
            changes.relocations.push(Relocation {
                key,
                locator: Locator::default(),
            });
        },
        |changes, key, _, vector| changes.binds.push((key, vector)),
    ];
    for case in cases {
        let mut changes = change(Generation(1));
        case(
            &mut changes,
            elsewhere.clone(),
            row(&document, &[&one]),
            binding(&one, &document),
        );
        refused(store.apply(changes.clone()).await, StoreErrorKind::Invalid);
    }
    let mut changes = change(Generation(1));
    changes.source = Some(source(&other, "sheet"));
    refused(store.apply(changes.clone()).await, StoreErrorKind::Invalid);
    assert_eq!(snapshot(store).await, before);
}

/// A document id that belongs to one source cannot be written by another, whatever the chunk.
pub async fn a_document_of_another_source_is_refused<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, rows) = filled(&harness, 1).await;
    for chunk in [0, 1] {
        let mut taken = rows[0].clone();
        taken.source = source_id("thief");
        taken.key.chunk = chunk;
        let mut changes = change(Generation(1));
        changes.source = Some(source(&faq(), "thief"));
        changes.upserts = vec![row(&taken, &[&one])];
        refused(store.apply(changes.clone()).await, StoreErrorKind::Invalid);
    }
    // Nor can one change give a document two owners.
    let mut first = document("new", "Кто?", "Я.");
    put(store, &one, std::slice::from_ref(&first)).await;
    let second = first.clone();
    first.key.chunk = 1;
    first.source = source_id("thief");
    let mut changes = change(Generation(1));
    changes.upserts = vec![row(&second, &[&one]), row(&first, &[&one])];
    refused(store.apply(changes.clone()).await, StoreErrorKind::Invalid);
}

/// Deletes come before upserts, so a change can hand a document from one source to another.
pub async fn a_document_can_be_handed_over<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, rows) = filled(&harness, 2).await;
    let mut taken = rows[0].clone();
    taken.source = source_id("heir");
    let mut changes = change(Generation(1));
    changes.source = Some(source(&faq(), "heir"));
    changes.deletes = vec![taken.key.clone()];
    changes.upserts = vec![row(&taken, &[&one])];
    store.apply(changes.clone()).await.unwrap();
    let (_, fingerprints) = store.fingerprints(&faq()).await.unwrap();
    assert_eq!(fingerprints.len(), 2);
    assert_eq!(fingerprints[0].source, source_id("heir"));
    assert!(store.check().await.unwrap().is_ok());
}

/// A change names a row to write once.
pub async fn one_row_twice_is_refused<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, rows) = filled(&harness, 1).await;
    let mut changes = change(Generation(1));
    changes.upserts = vec![row(&rows[0], &[&one]), row(&rows[0], &[&one])];
    refused(store.apply(changes.clone()).await, StoreErrorKind::Invalid);
}

/// A row has one vector a version.
pub async fn two_vectors_of_one_version_are_refused<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, rows) = filled(&harness, 1).await;
    let vector = binding(&one, &rows[0]);
    let mut imported = vector.clone();
    imported.vector.variant = Some(ContentHash::of(b"imported"));
    let mut changes = change(Generation(1));
    changes.upserts = vec![Row::new(rows[0].clone(), vec![vector, imported])];
    refused(store.apply(changes.clone()).await, StoreErrorKind::Invalid);
}

/// A row that does not exist, or was just deleted, can neither move nor be bound.
pub async fn changes_to_absent_rows_are_refused<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, rows) = filled(&harness, 1).await;
    for (target, deletes) in [
        (key("absent"), Vec::new()),
        (rows[0].key.clone(), vec![rows[0].key.clone()]),
    ] {
        let mut changes = change(Generation(1));
        changes.deletes.clone_from(&deletes);
        changes.relocations = vec![Relocation {
            key: target.clone(),
            locator: Locator::default(),
        }];
        refused(store.apply(changes.clone()).await, StoreErrorKind::Invalid);
        let mut changes = change(Generation(1));
        changes.deletes = deletes;
        changes.binds = vec![(target, binding(&one, &rows[0]))];
        refused(store.apply(changes.clone()).await, StoreErrorKind::Invalid);
    }
}

/// Two collections hold equal keys, versions of their own and counters of their own.
pub async fn collections_do_not_touch_each_other<H: Harness>(harness: H) {
    let store = harness.store();
    let (_, rows) = filled(&harness, 2).await;
    let before = snapshot(store).await;
    let other = collection("a-other");
    let two = version("two");
    let mut document = document("id-0000", "Другой?", "Другой.");
    document.key.collection = other.clone();
    put(store, &two, std::slice::from_ref(&document)).await;
    let mut changes = change(Generation(0));
    changes.collection = other.clone();
    changes.source = Some(source(&other, "sheet"));
    changes.upserts = vec![row(&document, &[&two])];
    changes.register = Some(two.spec.clone());
    changes.activate = Some(two.id.clone());
    let applied = store.apply(changes.clone()).await.unwrap();
    assert_eq!(applied.collection, Generation(1));
    assert_eq!(applied.store, Generation(2));
    let after = snapshot(store).await;
    let names: Vec<_> = after
        .collections
        .iter()
        .map(|collection| collection.status.name.as_str())
        .collect();
    assert_eq!(names, ["a-other", "faq"]);
    assert_eq!(after.collections[1], before.collections[0]);

    let mut changes = change(Generation(1));
    changes.collection = other.clone();
    changes.source = None;
    changes.deletes = vec![document.key.clone()];
    store.apply(changes.clone()).await.unwrap();
    assert_eq!(
        store.documents(&[rows[0].key.clone()]).await.unwrap().len(),
        1
    );
    assert_eq!(snapshot(store).await.collections[1], before.collections[0]);
    assert!(store.check().await.unwrap().is_ok());
}

/// A change of one source leaves the rows of another as they are.
pub async fn sources_do_not_touch_each_other<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, rows) = filled(&harness, 2).await;
    let mut foreign = document("foreign", "Чужой?", "Чужой.");
    foreign.source = source_id("upload");
    put(store, &one, std::slice::from_ref(&foreign)).await;
    let mut changes = change(Generation(1));
    changes.source = Some(source(&faq(), "upload"));
    changes.upserts = vec![row(&foreign, &[&one])];
    store.apply(changes.clone()).await.unwrap();
    let mut changes = change(Generation(2));
    changes.deletes = rows.iter().map(|row| row.key.clone()).collect();
    store.apply(changes.clone()).await.unwrap();
    assert_eq!(
        store.documents(&[foreign.key.clone()]).await.unwrap(),
        [foreign]
    );
    assert_eq!(
        store.sources(&faq()).await.unwrap(),
        [source(&faq(), "sheet"), source(&faq(), "upload")]
    );
}

/// A source that moved is recorded where it is now; one that only owns rows is not listed.
pub async fn a_source_is_brought_up_to_date<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, rows) = (version("one"), [document("a", "Где?", "Тут.")]);
    put(store, &one, &rows).await;
    let mut changes = change(Generation(0));
    changes.source = None;
    changes.upserts = vec![row(&rows[0], &[&one])];
    changes.register = Some(one.spec.clone());
    changes.activate = Some(one.id.clone());
    changes.run = run("without-source");
    store.apply(changes.clone()).await.unwrap();
    assert!(store.sources(&faq()).await.unwrap().is_empty());
    fill(store, &one, &rows).await;
    let mut moved = source(&faq(), "sheet");
    moved.location = "/elsewhere/faq.csv".into();
    moved.kind = "csv".into();
    let mut changes = change(Generation(2));
    changes.source = Some(moved.clone());
    store.apply(changes.clone()).await.unwrap();
    assert_eq!(store.sources(&faq()).await.unwrap(), [moved]);
}
