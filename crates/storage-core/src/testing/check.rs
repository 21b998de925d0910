//! `check` on stores that nobody damaged, and sizes.

use super::Harness;
use super::fixture::{
    DIMENSIONS, binding, change, collection, document, documents, faq, fill, filled, generation,
    made, put, row, source, version,
};
use crate::{
    Binding, EmbedText, Generation, InputHash, IntegrityReport, Locator, MetadataValue, Relocation,
    Row, StoredVector, Timestamp, VectorKey, check_names as names, metadata_to_json,
};

fn assert_clean(report: &IntegrityReport) {
    let found: Vec<_> = report.checks.iter().map(|check| check.name).collect();
    assert_eq!(
        found,
        [
            names::CONNECTION,
            names::SCHEMA_VERSION,
            names::EMBEDDING_VERSION,
            names::TEMPLATES,
            names::CATEGORIES,
            names::CONTENT_HASHES,
            names::VECTOR_HASHES,
            names::ORPHANS,
            names::FOREIGN_KEYS,
            names::GENERATION,
        ]
    );
    for check in &report.checks {
        assert!(check.ok, "{check:?}");
        assert_eq!(check.found, check.expected);
        assert!(!check.detail.is_empty());
    }
    assert!(report.is_ok());
}

/// Every check is made, in its fixed order, and holds: on an empty store, on a filled one.
pub async fn a_good_store_is_clean<H: Harness>(harness: H) {
    assert_clean(&harness.store().check().await.unwrap());
    filled(&harness, 50).await;
    assert_clean(&harness.store().check().await.unwrap());
}

/// A store stays clean through a recipe of its own, two collections, edits, a flip, a rollback and a prune.
pub async fn a_long_life_leaves_a_clean_store<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, two) = (version("one"), version("two"));
    let rows = documents(40);
    fill(store, &one, &rows).await;

    let recipe = EmbedText::parse("{category}: {question} {code}").unwrap();
    let other = collection("other");
    let mut foreign = document("f", "Чужой?", "Чужой.");
    foreign.key.collection = other.clone();
    foreign
        .metadata
        .insert("code".into(), MetadataValue::I64(7));
    let vector = StoredVector {
        key: VectorKey {
            space: one.space.id.clone(),
            input: InputHash::of(&recipe.render(&foreign)),
            variant: None,
        },
        embedding: super::fixture::embedding("foreign", DIMENSIONS),
    };
    store
        .put_embeddings(
            std::slice::from_ref(&vector),
            &super::fixture::unpaid("r"),
            Timestamp(3),
        )
        .await
        .unwrap();
    let mut changes = change(Generation(0));
    changes.collection = other.clone();
    changes.source = Some(source(&other, "sheet"));
    let tailored = made(one.space.clone(), recipe);
    let bound = Binding {
        version: tailored.id.clone(),
        vector: vector.key,
    };
    changes.upserts = vec![Row::new(foreign, vec![bound])];
    changes.register = Some(tailored.spec);
    changes.activate = Some(tailored.id);
    store.apply(changes.clone()).await.unwrap();

    put(store, &two, &rows).await;
    let mut flip = change(generation(store, &faq()).await);
    flip.binds = rows
        .iter()
        .map(|document| (document.key.clone(), binding(&two, document)))
        .collect();
    flip.register = Some(two.spec.clone());
    flip.activate = Some(two.id.clone());
    store.apply(flip.clone()).await.unwrap();
    assert_clean(&store.check().await.unwrap());

    let edited = document("id-0007", "Правка?", "Да.");
    put(store, &one, std::slice::from_ref(&edited)).await;
    put(store, &two, std::slice::from_ref(&edited)).await;
    let mut edit = change(generation(store, &faq()).await);
    edit.upserts = vec![row(&edited, &[&one, &two])];
    edit.deletes = rows[20..].iter().map(|row| row.key.clone()).collect();
    edit.relocations = vec![Relocation {
        key: rows[1].key.clone(),
        locator: Locator {
            row: Some(2),
            ..Locator::default()
        },
    }];
    store.apply(edit.clone()).await.unwrap();
    let mut back = change(generation(store, &faq()).await);
    back.register = Some(one.spec.clone());
    back.activate = Some(one.id.clone());
    store.apply(back.clone()).await.unwrap();
    store.prune(Timestamp(i64::MAX)).await.unwrap();
    assert_clean(&store.check().await.unwrap());
    assert_eq!(store.status().await.unwrap().generation, Generation(5));
}

/// Sizes count vectors once each and every text, metadata as their JSON.
pub async fn sizes_are_counted<H: Harness>(harness: H) {
    let store = harness.store();
    let mut rows = documents(2);
    rows[0].subcategory = Some("Б".into());
    rows[0].metadata.insert("k".into(), MetadataValue::F64(0.5));
    rows[1].category = None;
    fill(store, &version("one"), &rows).await;
    let expected: usize = rows
        .iter()
        .map(|row| {
            row.title.len()
                + row.body.len()
                + row.category.as_ref().map_or(0, String::len)
                + row.subcategory.as_ref().map_or(0, String::len)
                + metadata_to_json(&row.metadata).unwrap().len()
        })
        .sum();
    let bytes = store.bytes().await.unwrap();
    assert_eq!(bytes.text, expected as u64);
    assert_eq!(bytes.vectors, 2 * 4 * u64::from(DIMENSIONS));
}
