//! `apply`: everything or nothing, and nothing before.

use futures_util::future::join_all;

use super::fixture::{
    DIMENSIONS, binding, change, collection, document, documents, faq, fill, filled, generation,
    key, put, row, run, source, vector_key, version,
};
use super::{Harness, refused, snapshot};
use crate::{
    Applied, CacheStats, CategoryCount, Generation, Locator, MetadataValue, Relocation, Row,
    StoreErrorKind, Timestamp,
};

/// A store nobody wrote to answers every question with nothing.
pub async fn an_empty_store_has_nothing<H: Harness>(harness: H) {
    let store = harness.store();
    let status = store.status().await.unwrap();
    assert_eq!(status.generation, Generation(0));
    assert!(status.spaces.is_empty() && status.collections.is_empty());
    let seen = snapshot(store).await;
    assert_eq!(seen.cache, CacheStats::default());
    assert_eq!(seen.bytes, (0, 0));
    assert_eq!(
        store.fingerprints(&faq()).await.unwrap(),
        (Generation(0), Vec::new())
    );
    assert!(store.documents(&[key("a")]).await.unwrap().is_empty());
    assert!(store.sources(&faq()).await.unwrap().is_empty());
    assert!(store.runs(&faq(), 10).await.unwrap().is_empty());
    assert_eq!(store.prune(Timestamp(i64::MAX)).await.unwrap(), 0);
}

/// Vectors that were stored change nothing that readers see.
pub async fn put_vectors_are_invisible<H: Harness>(harness: H) {
    let store = harness.store();
    put(store, &version("one"), &documents(3)).await;
    let status = store.status().await.unwrap();
    assert_eq!(status.generation, Generation(0));
    assert!(status.collections.is_empty());
    assert_eq!(store.cache_stats().await.unwrap().vectors, 3);
    assert_eq!(
        store.bytes().await.unwrap().vectors,
        3 * 4 * u64::from(DIMENSIONS)
    );
}

/// One apply makes rows, source, recipe and pointer visible together.
pub async fn an_apply_shows_everything_at_once<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, rows) = (version("one"), documents(3));
    let applied = fill(store, &one, &rows).await;
    assert_eq!(
        applied,
        Applied {
            collection: Generation(1),
            store: Generation(1)
        }
    );
    let seen = snapshot(store).await;
    assert_eq!(seen.generation, Generation(1));
    let [faq_seen] = &seen.collections[..] else {
        panic!("one collection");
    };
    let status = &faq_seen.status;
    assert_eq!(status.name, faq());
    assert_eq!(
        (status.active.as_ref(), status.previous.as_ref()),
        (Some(&one.id), None)
    );
    assert_eq!(
        status.embed_text().unwrap().unwrap().as_str(),
        r"{question}\n{answer}"
    );
    assert_eq!(
        (status.records, status.documents, status.missing),
        (3, 3, 0)
    );
    assert_eq!(faq_seen.sources, [source(&faq(), "sheet")]);
    let read: Vec<_> = faq_seen
        .records
        .iter()
        .map(|record| record.document.clone())
        .collect();
    assert_eq!(read, rows);
    for (fingerprint, document) in faq_seen.fingerprints.iter().zip(&rows) {
        assert_eq!(fingerprint.key, document.key);
        assert_eq!(fingerprint.source, document.source);
        assert_eq!(fingerprint.record, row(document, &[&one]).record());
        assert_eq!(fingerprint.vector, Some(vector_key(&one, document)));
    }
}

/// A change set that fails at its last row leaves no trace of its others.
pub async fn a_failed_apply_leaves_nothing<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, rows) = filled(&harness, 4).await;
    let two = version("two");
    put(store, &two, &rows).await;
    let before = snapshot(store).await;

    let good = document("new", "Новый?", "Да.");
    put(store, &one, std::slice::from_ref(&good)).await;
    let bad = document("zzz", "Без вектора?", "Да.");
    let mut changes = change(Generation(1));
    changes.source = Some(source(&faq(), "another"));
    changes.deletes = vec![rows[0].key.clone()];
    changes.upserts = vec![row(&good, &[&one]), row(&bad, &[&one])];
    changes.relocations = vec![Relocation {
        key: rows[1].key.clone(),
        locator: Locator {
            row: Some(7),
            ..Locator::default()
        },
    }];
    changes.register = Some(two.spec.clone());
    changes.binds = vec![(rows[1].key.clone(), binding(&two, &rows[1]))];
    changes.run = run("failing");
    refused(store.apply(changes.clone()).await, StoreErrorKind::Model);

    let mut after = snapshot(store).await;
    // The vector of the good row was put, not applied: that is the only difference.
    assert_eq!(after.cache.vectors, before.cache.vectors + 1);
    after.cache = before.cache;
    after.bytes = before.bytes;
    assert_eq!(after, before);
    assert!(store.check().await.unwrap().is_ok());
}

/// A change planned on another generation is a conflict, and changes nothing.
pub async fn a_stale_base_is_a_conflict<H: Harness>(harness: H) {
    let store = harness.store();
    refused(
        store.apply(change(Generation(1))).await,
        StoreErrorKind::Conflict,
    );
    filled(&harness, 2).await;
    let before = snapshot(store).await;
    for base in [0, 2, u64::MAX] {
        refused(
            store.apply(change(Generation(base))).await,
            StoreErrorKind::Conflict,
        );
    }
    assert_eq!(snapshot(store).await, before);
}

/// A row that refers to a vector nobody stored is refused, whichever version it belongs to.
pub async fn a_row_without_its_vector_is_refused<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, rows) = filled(&harness, 1).await;
    let two = version("two");
    store.register_space(&two.space).await.unwrap();
    let absent = document("b", "Нет вектора?", "Нет.");
    for vectors in [
        Vec::new(),
        vec![binding(&one, &absent)],
        vec![binding(&one, &rows[0]), binding(&two, &absent)],
    ] {
        let mut changes = change(Generation(1));
        changes.register = Some(two.spec.clone());
        changes.upserts = vec![Row::new(absent.clone(), vectors)];
        refused(store.apply(changes.clone()).await, StoreErrorKind::Model);
    }
    let mut changes = change(Generation(1));
    changes.register = Some(two.spec.clone());
    changes.binds = vec![(rows[0].key.clone(), binding(&two, &rows[0]))];
    refused(store.apply(changes.clone()).await, StoreErrorKind::Model);
}

/// Rows need a version that is served.
pub async fn a_row_without_an_active_version_is_refused<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, rows) = (version("one"), documents(1));
    put(store, &one, &rows).await;
    let mut changes = change(Generation(0));
    changes.upserts = vec![row(&rows[0], &[&one])];
    refused(store.apply(changes.clone()).await, StoreErrorKind::Model);
    assert!(store.status().await.unwrap().collections.is_empty());
}

/// Deleting what is not there is no error, and deleting twice is deleting once.
pub async fn deletes_of_absent_rows_are_fine<H: Harness>(harness: H) {
    let store = harness.store();
    let (_, rows) = filled(&harness, 2).await;
    let mut changes = change(Generation(1));
    changes.deletes = vec![key("absent"), rows[0].key.clone(), rows[0].key.clone()];
    store.apply(changes.clone()).await.unwrap();
    let (_, left) = store.fingerprints(&faq()).await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].key, rows[1].key);
    assert!(store.check().await.unwrap().is_ok());
}

/// A replaced row has the new fields and none of the old.
pub async fn an_upsert_replaces_every_field<H: Harness>(harness: H) {
    let store = harness.store();
    let one = version("one");
    let mut old = document("a", "Старый?", "Старый.");
    old.subcategory = Some("Прочее".into());
    old.metadata
        .insert("old".into(), MetadataValue::String("x".into()));
    old.locator.sheet = Some("Лист".into());
    fill(store, &one, &[old]).await;
    let mut new = document("a", "Новый?", "Новый.");
    new.category = None;
    new.metadata.insert("new".into(), MetadataValue::I64(1));
    new.locator.page = Some(3);
    fill(store, &one, std::slice::from_ref(&new)).await;
    assert_eq!(store.documents(&[key("a")]).await.unwrap(), [new]);
    let status = store.status().await.unwrap();
    assert_eq!(status.collections[0].records, 1);
}

/// A relocation moves a row and touches nothing else of it.
pub async fn a_relocation_changes_the_locator_only<H: Harness>(harness: H) {
    let store = harness.store();
    filled(&harness, 3).await;
    let before = snapshot(store).await;
    let locator = Locator {
        sheet: Some("FAQ 2".into()),
        row: Some(40),
        page: None,
        span: Some((1, 9)),
    };
    let mut changes = change(Generation(1));
    changes.relocations = vec![Relocation {
        key: key("id-0001"),
        locator: locator.clone(),
    }];
    store.apply(changes.clone()).await.unwrap();
    let mut expected = before;
    expected.generation = Generation(2);
    let faq_expected = &mut expected.collections[0];
    faq_expected.status.generation = Generation(2);
    faq_expected.fingerprints[1].locator = locator.clone();
    faq_expected.records[1].document.locator = locator;
    assert_eq!(snapshot(store).await, expected);
}

/// A change that does nothing creates its collection and raises the counters.
pub async fn an_empty_change_still_counts<H: Harness>(harness: H) {
    let store = harness.store();
    for expected in 1..=3 {
        let applied = store.apply(change(Generation(expected - 1))).await.unwrap();
        assert_eq!(applied.collection, Generation(expected));
        assert_eq!(applied.store, Generation(expected));
    }
    let status = store.status().await.unwrap();
    assert_eq!(status.collections[0].active, None);
    assert!(store.check().await.unwrap().is_ok());
}

/// Of changes planned on one generation, one is applied and the others conflict.
pub async fn of_many_writers_one_wins<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, _) = filled(&harness, 1).await;
    let rows = documents(8);
    put(store, &one, &rows).await;
    let changes: Vec<_> = rows
        .iter()
        .map(|document| {
            let mut changes = change(Generation(1));
            changes.upserts = vec![row(document, &[&one])];
            changes
        })
        .collect();
    let outcomes = join_all(changes.iter().map(|changes| store.apply(changes.clone()))).await;
    let (won, lost): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 7));
    for outcome in lost {
        refused(outcome, StoreErrorKind::Conflict);
    }
    assert_eq!(generation(store, &faq()).await, Generation(2));
}

/// Counts per category follow every insert, move and delete.
pub async fn categories_are_counted<H: Harness>(harness: H) {
    let store = harness.store();
    let one = version("one");
    let mut rows = documents(5);
    rows[0].category = None;
    rows[1].category = Some("Б".into());
    rows[2].category = Some("А".into());
    rows[3].category = Some("Б".into());
    rows[4].category = Some(String::new());
    fill(store, &one, &rows).await;
    rows[1].category = Some("А".into());
    let mut changes = change(Generation(1));
    changes.upserts = vec![row(&rows[1], &[&one])];
    changes.deletes = vec![rows[3].key.clone()];
    store.apply(changes.clone()).await.unwrap();
    let count = |category: Option<&str>, records| CategoryCount {
        category: category.map(str::to_owned),
        records,
    };
    let status = store.status().await.unwrap();
    assert_eq!(
        status.collection(&faq()).unwrap().categories,
        [count(None, 1), count(Some(""), 1), count(Some("А"), 2)]
    );
    assert!(status.collection(&collection("other")).is_none());
    assert!(store.check().await.unwrap().is_ok());
}

/// Thousands of rows go in and out in one change.
pub async fn a_large_change_is_one_change<H: Harness>(harness: H) {
    let store = harness.store();
    let (_, rows) = filled(&harness, 2_500).await;
    let mut changes = change(Generation(1));
    changes.deletes = rows[..2_400].iter().map(|row| row.key.clone()).collect();
    changes.relocations = rows[2_400..]
        .iter()
        .map(|row| Relocation {
            key: row.key.clone(),
            locator: Locator {
                row: Some(1),
                ..Locator::default()
            },
        })
        .collect();
    store.apply(changes.clone()).await.unwrap();
    let (_, left) = store.fingerprints(&faq()).await.unwrap();
    assert_eq!(left.len(), 100);
    assert!(left.iter().all(|row| row.locator.row == Some(1)));
}
