//! Reading rows: order, filters, and one generation however long it takes.

use std::collections::BTreeMap;

use futures_util::{StreamExt, TryStreamExt};

use super::Harness;
use super::fixture::{
    binding, change, collection, document, documents, faq, fill, filled, generation, key, put, row,
    stored_vector, version,
};
use crate::{
    Comparison, Document, EmbeddingStore, Filter, Generation, MetadataPredicate, MetadataValue,
};

async fn ids(store: &dyn EmbeddingStore, filter: Filter) -> Vec<String> {
    store
        .scan(&faq(), None, filter)
        .map_ok(|record| {
            format!(
                "{}/{}",
                record.document.key.document, record.document.key.chunk
            )
        })
        .try_collect()
        .await
        .unwrap()
}

/// Rows come by document and chunk, by bytes, however they were written.
pub async fn rows_come_in_key_order<H: Harness>(harness: H) {
    let store = harness.store();
    let one = version("one");
    let names = ["я", "a-10", "a", "Я", "a-2", "Z", "", "ё"];
    let mut rows: Vec<Document> = Vec::new();
    for (position, name) in names.iter().enumerate() {
        for chunk in [10, 2, 0] {
            let mut row = document(name, &format!("Вопрос {position} {chunk}?"), "Ответ.");
            row.key.chunk = chunk;
            rows.push(row);
        }
    }
    fill(store, &one, &rows).await;
    rows.sort_by(|a, b| a.key.cmp(&b.key));
    let records: Vec<_> = store
        .scan(&faq(), None, Filter::default())
        .try_collect()
        .await
        .unwrap();
    assert_eq!(records.len(), rows.len());
    for (record, row) in records.iter().zip(&rows) {
        assert_eq!(record.document, *row);
        assert_eq!(record.embedding, stored_vector(&one, row).embedding);
    }
    let (_, fingerprints) = store.fingerprints(&faq()).await.unwrap();
    assert!(
        fingerprints
            .iter()
            .map(|found| &found.key)
            .eq(rows.iter().map(|row| &row.key))
    );
    let status = store.status().await.unwrap();
    assert_eq!(status.collections[0].documents, names.len() as u64);
    assert_eq!(status.collections[0].records, rows.len() as u64);
}

/// A filter takes exactly the rows it describes.
pub async fn filters_restrict_rows<H: Harness>(harness: H) {
    let store = harness.store();
    let mut rows = documents(6);
    rows[1].category = Some("Карты".into());
    rows[2].category = None;
    rows[3].body = "Придите в ОТДЕЛЕНИЕ.".into();
    rows[4]
        .metadata
        .insert("year".into(), MetadataValue::I64(2024));
    rows[5]
        .metadata
        .insert("year".into(), MetadataValue::String("1999".into()));
    fill(store, &version("one"), &rows).await;
    let all = Filter::default();
    assert_eq!(ids(store, all.clone()).await.len(), 6);
    let cases = [
        (
            Filter {
                category: Some("КАРТЫ".into()),
                ..all.clone()
            },
            vec!["id-0001/0"],
        ),
        (
            Filter {
                contains: Some("отделение".into()),
                ..all.clone()
            },
            vec!["id-0003/0"],
        ),
        (
            Filter {
                document: Some("id-0002".into()),
                ..all.clone()
            },
            vec!["id-0002/0"],
        ),
        (
            Filter {
                metadata: vec![MetadataPredicate {
                    key: "year".into(),
                    comparison: Comparison::Greater,
                    value: MetadataValue::I64(1990),
                }],
                ..all.clone()
            },
            vec!["id-0004/0", "id-0005/0"],
        ),
        (
            Filter {
                category: Some("Карты".into()),
                document: Some("id-0002".into()),
                ..all
            },
            vec![],
        ),
    ];
    for (filter, expected) in cases {
        assert_eq!(ids(store, filter.clone()).await, expected, "{filter:?}");
    }
}

/// A scan that is under way goes on over the generation it began with, and holds no writer up.
pub async fn a_running_scan_sees_one_generation<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, rows) = filled(&harness, 1_500).await;
    let mut scan = store.scan(&faq(), None, Filter::default());
    let first = scan.next().await.unwrap().unwrap();
    assert_eq!(first.document, rows[0]);

    let two = version("two");
    let edited: Vec<_> = rows
        .iter()
        .take(1_000)
        .map(|row| Document {
            body: "Новый ответ.".into(),
            ..row.clone()
        })
        .collect();
    put(store, &two, &edited).await;
    let mut changes = change(generation(store, &faq()).await);
    changes.upserts = edited
        .iter()
        .map(|document| row(document, &[&two]))
        .collect();
    changes.deletes = rows[1_000..].iter().map(|row| row.key.clone()).collect();
    changes.register = Some(two.spec.clone());
    changes.activate = Some(two.id.clone());
    store.apply(changes.clone()).await.unwrap();

    let rest: Vec<_> = scan.try_collect().await.unwrap();
    assert_eq!(rest.len(), rows.len() - 1);
    for (record, row) in rest.iter().zip(&rows[1..]) {
        assert_eq!(record.document, *row);
        assert_eq!(record.embedding, stored_vector(&one, row).embedding);
    }
    let now: Vec<_> = store
        .scan(&faq(), None, Filter::default())
        .try_collect()
        .await
        .unwrap();
    assert_eq!(now.len(), 1_000);
    assert!(now.iter().zip(&edited).all(|(record, row)| {
        record.document == *row && record.embedding == stored_vector(&two, row).embedding
    }));
}

/// A scan that is given up, polled or not, leaves the store as it was.
pub async fn a_dropped_scan_harms_nothing<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, rows) = filled(&harness, 800).await;
    drop(store.scan(&faq(), None, Filter::default()));
    for _ in 0..3 {
        let mut scan = store.scan(&faq(), None, Filter::default());
        scan.next().await.unwrap().unwrap();
    }
    let mut changes = change(Generation(1));
    changes.upserts = vec![row(&rows[0], &[&one])];
    store.apply(changes.clone()).await.unwrap();
    assert_eq!(ids(store, Filter::default()).await.len(), 800);
}

/// A collection that does not exist, or has no rows, ends at once.
pub async fn an_unknown_collection_is_empty<H: Harness>(harness: H) {
    let store = harness.store();
    assert!(ids(store, Filter::default()).await.is_empty());
    store.apply(change(Generation(0))).await.unwrap();
    assert!(ids(store, Filter::default()).await.is_empty());
    let other = store.scan(&collection("other"), None, Filter::default());
    assert_eq!(other.count().await, 0);
}

/// Rows are found by key, once each, in key order, across collections; absent keys are left out.
pub async fn documents_are_found_by_key<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, rows) = filled(&harness, 3).await;
    let mut other = document("id-0001", "Вопрос 1?", "Ответ 1.");
    other.key.collection = collection("a");
    other.metadata = BTreeMap::from([("k".to_owned(), MetadataValue::Bool(false))]);
    let mut changes = change(Generation(0));
    changes.collection = collection("a");
    changes.source = None;
    changes.upserts = vec![crate::Row::new(
        other.clone(),
        vec![binding(&one, &rows[1])],
    )];
    changes.register = Some(one.spec.clone());
    changes.activate = Some(one.id.clone());
    store.apply(changes.clone()).await.unwrap();
    let mut chunk = key("id-0001");
    chunk.chunk = 1;
    let asked = [
        key("id-0002"),
        key("absent"),
        key("id-0000"),
        chunk,
        key("id-0002"),
        other.key.clone(),
    ];
    assert_eq!(
        store.documents(&asked).await.unwrap(),
        [other, rows[0].clone(), rows[2].clone()]
    );
    assert!(store.documents(&[]).await.unwrap().is_empty());
}
