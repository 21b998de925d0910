//! The edges: large and empty texts, every kind of value, every script, and what no backend can hold.

use std::collections::BTreeMap;

use super::fixture::{
    change, document, embedding, faq, fill, filled, input, key, model, put, row, source, unpaid,
    version, version_of,
};
use super::{Harness, refused, snapshot};
use crate::{
    ChangeSet, Document, Embedding, Generation, Locator, MetadataValue, Relocation, StoreErrorKind,
    StoredVector, Timestamp, VectorKey,
};

/// A text of a mebibyte in each field comes back whole.
pub async fn a_megabyte_of_text_fits<H: Harness>(harness: H) {
    let store = harness.store();
    let long = "длинный ".repeat((1 << 20) / 15);
    let mut large = document("a", &long, &long);
    large.category = Some(long.clone());
    large
        .metadata
        .insert("text".into(), MetadataValue::String(long));
    fill(store, &version("one"), std::slice::from_ref(&large)).await;
    assert_eq!(store.documents(&[key("a")]).await.unwrap(), [large.clone()]);
    let records = snapshot(store).await.collections.remove(0).records;
    assert_eq!(records[0].document, large);
    assert!(store.check().await.unwrap().is_ok());
}

/// Empty texts are texts: no question, no answer, an empty category that is not an absent one, an empty id.
pub async fn empty_texts_fit<H: Harness>(harness: H) {
    let store = harness.store();
    let mut empty = document("", "", "");
    empty.category = Some(String::new());
    empty.subcategory = Some(String::new());
    empty
        .metadata
        .insert(String::new(), MetadataValue::String(String::new()));
    empty.locator.sheet = Some(String::new());
    let mut bare = document("b", "", "");
    bare.category = None;
    let rows = [empty, bare];
    fill(store, &version("one"), &rows).await;
    assert_eq!(
        store
            .documents(&[rows[0].key.clone(), rows[1].key.clone()])
            .await
            .unwrap(),
        rows
    );
    assert!(store.check().await.unwrap().is_ok());
}

/// A value comes back as the type it went in, alone or among hundreds.
pub async fn metadata_keep_their_types<H: Harness>(harness: H) {
    let store = harness.store();
    let mut rich = document("a", "Типы?", "Да.");
    let values = [
        MetadataValue::String("7".into()),
        MetadataValue::I64(7),
        MetadataValue::I64(i64::MIN),
        MetadataValue::I64(i64::MAX),
        MetadataValue::F64(7.0),
        MetadataValue::F64(-0.0),
        MetadataValue::F64(0.1 + 0.2),
        MetadataValue::F64(2.225_073_858_507_201e-308),
        MetadataValue::F64(1.797_693_134_862_315_7e308),
        MetadataValue::F64(1e23),
        MetadataValue::F64(9_007_199_254_740_993.0),
        MetadataValue::Bool(true),
        MetadataValue::Bool(false),
        MetadataValue::List(Vec::new()),
        MetadataValue::List(vec![
            MetadataValue::I64(1),
            MetadataValue::F64(1.0),
            MetadataValue::List(vec![MetadataValue::String("[1]".into())]),
        ]),
    ];
    for (position, value) in values.into_iter().enumerate() {
        rich.metadata.insert(format!("k{position:02} \"'"), value);
    }
    let mut many = document("b", "Много?", "Да.");
    many.metadata = (0..500)
        .map(|n| (format!("ключ {n}"), MetadataValue::F64(f64::from(n) / 7.0)))
        .collect();
    let none = document("c", "Нет?", "Нет.");
    let rows = [rich, many, none];
    fill(store, &version("one"), &rows).await;
    let keys: Vec<_> = rows.iter().map(|row| row.key.clone()).collect();
    assert_eq!(store.documents(&keys).await.unwrap(), rows);
    assert!(store.check().await.unwrap().is_ok());
}

/// Every bit of a vector comes back: signed zeros, subnormals, the largest and the smallest.
pub async fn numbers_come_back_bit_for_bit<H: Harness>(harness: H) {
    let store = harness.store();
    let numbers = [
        0.1f32,
        -0.0,
        f32::MIN_POSITIVE,
        f32::from_bits(1),
        1e5,
        -1e-5,
        f32::EPSILON,
    ];
    let wide = version_of(model("wide", 4_096), "");
    let odd = version_of(model("odd", 7), "");
    let single = version_of(model("single", 1), "");
    let row_of = document("a", "Биты?", "Да.");
    for (base, (version, embedding)) in [
        (wide, embedding("wide", 4_096)),
        (odd, Embedding::new(numbers.to_vec()).unwrap()),
        (single, Embedding::new(vec![-1.0f32]).unwrap()),
    ]
    .into_iter()
    .enumerate()
    {
        store.register_space(&version.space).await.unwrap();
        let vector = StoredVector {
            key: VectorKey {
                space: version.space.id.clone(),
                input: input(&row_of),
                variant: None,
            },
            embedding: embedding.clone(),
        };
        store
            .put_embeddings(&[vector], &unpaid("run"), Timestamp(2))
            .await
            .unwrap();
        let mut changes = change(Generation(base as u64));
        changes.upserts = vec![row(&row_of, &[&version])];
        changes.register = Some(version.spec.clone());
        changes.activate = Some(version.id.clone());
        store.apply(changes.clone()).await.unwrap();
        let read = snapshot(store)
            .await
            .collections
            .remove(0)
            .records
            .remove(0);
        let bits = |embedding: &Embedding| {
            embedding
                .as_slice()
                .iter()
                .map(|number| number.to_bits())
                .collect::<Vec<_>>()
        };
        assert_eq!(bits(&read.embedding), bits(&embedding));
    }
}

/// Texts of any script, with quotes, emoji, combining marks and line breaks, come back as they went in.
pub async fn any_script_fits<H: Harness>(harness: H) {
    let store = harness.store();
    let texts = [
        "и\u{306} й",
        "👩‍👩‍👧‍👦 \u{1f3f4}",
        "'; DROP TABLE embedding_records; --",
        "\u{feff}начало\r\nконец\t\u{200f}עברית",
        "\u{10ffff}\u{e000}\u{1}",
        "%_\\\"{}",
        "ﷺ 漢字 ไทย",
    ];
    let rows: Vec<_> = texts
        .iter()
        .map(|text| {
            let mut row = document(text, text, text);
            row.category = Some((*text).to_owned());
            row.subcategory = Some((*text).to_owned());
            row.metadata = BTreeMap::from([(
                (*text).to_owned(),
                MetadataValue::String((*text).to_owned()),
            )]);
            row.locator.sheet = Some((*text).to_owned());
            row
        })
        .collect();
    fill(store, &version("one"), &rows).await;
    let keys: Vec<_> = rows.iter().map(|row| row.key.clone()).collect();
    let mut sorted = rows.clone();
    sorted.sort_by(|a, b| a.key.cmp(&b.key));
    assert_eq!(store.documents(&keys).await.unwrap(), sorted);
    assert!(store.check().await.unwrap().is_ok());
}

/// The NUL character is refused in every text: some backends cannot hold it, so none does.
pub async fn nul_is_refused_everywhere<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, _) = filled(&harness, 1).await;
    let before = snapshot(store).await;
    let spoil: [fn(&mut Document); 8] = [
        |row| row.key.document.push('\0'),
        |row| row.title.push('\0'),
        |row| row.body.push('\0'),
        |row| row.category = Some("\0".into()),
        |row| row.subcategory = Some("\0".into()),
        |row| row.locator.sheet = Some("\0".into()),
        |row| drop(row.metadata.insert("\0".into(), MetadataValue::I64(1))),
        |row| {
            let text = MetadataValue::String("a\0".into());
            row.metadata
                .insert("k".into(), MetadataValue::List(vec![text]));
        },
    ];
    for spoil in spoil {
        let mut bad = document("n", "Нуль?", "Да.");
        spoil(&mut bad);
        put(store, &one, std::slice::from_ref(&bad)).await;
        let mut changes = change(Generation(1));
        changes.upserts = vec![row(&bad, &[&one])];
        refused(store.apply(changes.clone()).await, StoreErrorKind::Invalid);
    }
    let others: [fn(&mut ChangeSet); 3] = [
        |changes| {
            let mut bad = source(&faq(), "sheet");
            bad.location.push('\0');
            changes.source = Some(bad);
        },
        |changes| {
            let mut bad = source(&faq(), "sheet");
            bad.kind.push('\0');
            changes.source = Some(bad);
        },
        |changes| {
            changes.relocations.push(Relocation {
                key: key("id-0000"),
                locator: Locator {
                    sheet: Some("\0".into()),
                    ..Locator::default()
                },
            });
        },
    ];
    for spoil in others {
        let mut changes = change(Generation(1));
        spoil(&mut changes);
        refused(store.apply(changes.clone()).await, StoreErrorKind::Invalid);
    }
    let mut bad = version("nul");
    bad.space.provider.push('\0');
    refused(
        store.register_space(&bad.space).await,
        StoreErrorKind::Invalid,
    );
    assert_eq!(snapshot(store).await.collections, before.collections);
}

/// Numbers that are not finite, and lists nested without end, are refused before anything is written.
pub async fn what_json_cannot_hold_is_refused<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, _) = filled(&harness, 1).await;
    let nested = |depth: usize| {
        (0..depth).fold(MetadataValue::I64(1), |inner, _| {
            MetadataValue::List(vec![inner])
        })
    };
    let mut deep = document("deep", "Глубоко?", "Да.");
    deep.metadata.insert("k".into(), nested(64));
    fill(store, &one, std::slice::from_ref(&deep)).await;
    assert_eq!(
        store.documents(&[key("deep")]).await.unwrap(),
        [deep.clone()]
    );
    for value in [
        MetadataValue::F64(f64::NAN),
        MetadataValue::F64(f64::INFINITY),
        MetadataValue::List(vec![MetadataValue::F64(f64::NEG_INFINITY)]),
        nested(65),
        nested(200),
    ] {
        let mut bad = deep.clone();
        bad.metadata.insert("k".into(), value);
        let mut changes = change(Generation(2));
        changes.upserts = vec![row(&bad, &[&one])];
        refused(store.apply(changes.clone()).await, StoreErrorKind::Invalid);
    }
    assert_eq!(store.documents(&[key("deep")]).await.unwrap(), [deep]);
}

/// Every part of a place in a source comes back, alone and together; numbers no backend can hold are refused.
pub async fn locators_keep_every_part<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, _) = filled(&harness, 1).await;
    let largest = i64::MAX as u64;
    let places = [
        Locator::default(),
        Locator {
            sheet: Some("Лист 1".into()),
            ..Locator::default()
        },
        Locator {
            row: Some(largest),
            ..Locator::default()
        },
        Locator {
            page: Some(u32::MAX),
            ..Locator::default()
        },
        Locator {
            span: Some((0, largest)),
            ..Locator::default()
        },
        Locator {
            sheet: Some(String::new()),
            row: Some(0),
            page: Some(0),
            span: Some((0, 0)),
        },
    ];
    let rows: Vec<_> = places
        .iter()
        .enumerate()
        .map(|(position, locator)| {
            let mut row = document(&format!("{position}"), "Где?", "Тут.");
            row.locator = locator.clone();
            row.key.chunk = u32::MAX;
            row
        })
        .collect();
    fill(store, &one, &rows).await;
    let keys: Vec<_> = rows.iter().map(|row| row.key.clone()).collect();
    assert_eq!(store.documents(&keys).await.unwrap(), rows);
    let (_, fingerprints) = store.fingerprints(&faq()).await.unwrap();
    assert!(
        fingerprints
            .iter()
            .map(|found| &found.locator)
            .take(places.len())
            .eq(&places)
    );
    let mut changes = change(Generation(2));
    changes.relocations = vec![Relocation {
        key: rows[0].key.clone(),
        locator: Locator {
            row: Some(u64::MAX),
            ..Locator::default()
        },
    }];
    refused(store.apply(changes.clone()).await, StoreErrorKind::Invalid);
}
