use std::collections::BTreeMap;

use super::*;
use crate::{CollectionName, MetadataValue};

fn key(document: &str, chunk: u32) -> DocumentKey {
    DocumentKey {
        collection: CollectionName::new("faq").unwrap(),
        document: document.to_owned(),
        chunk,
    }
}

fn kept() -> KeptRow {
    let vector = |variant: Option<&str>| VectorKey {
        space: SpaceId::from_stored("space"),
        input: InputHash::of("текст"),
        variant: variant.map(|text| ContentHash::of(text.as_bytes())),
    };
    let binding = |version: &str, variant| Binding {
        version: VersionId::from_stored(version),
        vector: vector(variant),
    };
    let document = Document {
        key: key("а \"b\"\n\\", 7),
        source: SourceId::new("sheet").unwrap(),
        title: String::new(),
        body: "тело \u{1f600}\u{7f}".to_owned(),
        category: Some(String::new()),
        subcategory: None,
        metadata: BTreeMap::from([
            ("whole".to_owned(), MetadataValue::I64(i64::MIN)),
            ("real".to_owned(), MetadataValue::F64(0.1 + 0.2)),
            ("negative".to_owned(), MetadataValue::F64(-0.0)),
            (
                "list".to_owned(),
                MetadataValue::List(vec![
                    MetadataValue::List(vec![]),
                    MetadataValue::F64(1.0),
                    MetadataValue::Bool(true),
                ]),
            ),
        ]),
        locator: Locator {
            sheet: Some("Лист".to_owned()),
            row: Some(i64::MAX as u64),
            page: Some(u32::MAX),
            span: Some((0, 9)),
        },
    };
    KeptRow {
        row: Row::new(
            document,
            vec![binding("v1", None), binding("v2", Some("x"))],
        ),
        run: RunId::new("sync 1").unwrap(),
        created_at: Timestamp(-5),
        updated_at: Timestamp(9),
        deleted: true,
    }
}

#[test]
fn every_field_survives_the_round_trip() {
    let kept = kept();
    let text = kept.to_json().unwrap();
    let back = KeptRow::from_json(kept.row.document().key.clone(), &text).unwrap();
    assert_eq!(back, kept);
    assert_eq!(back.row.record(), kept.row.record());
    let mut bare = kept;
    let document = Document {
        locator: Locator::default(),
        category: None,
        metadata: BTreeMap::new(),
        ..bare.row.document().clone()
    };
    bare.row = Row::new(document, Vec::new());
    let text = bare.to_json().unwrap();
    let back = KeptRow::from_json(bare.row.document().key.clone(), &text).unwrap();
    assert_eq!(back, bare);
}

#[test]
fn a_row_of_another_name_is_damage() {
    let kept = kept();
    let text = kept.to_json().unwrap();
    for other in [key("а \"b\"\n\\", 8), key("other", 7)] {
        let error = KeptRow::from_json(other, &text).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt);
    }
}

/// Every single changed bit either fails, or leaves the row as it was (an escape that is spelled otherwise).
#[test]
fn a_flipped_bit_never_restores_another_row() {
    let kept = kept();
    let text = kept.to_json().unwrap();
    for position in 0..text.len() {
        for bit in 0..8 {
            let mut bytes = text.clone().into_bytes();
            bytes[position] ^= 1 << bit;
            let Ok(flipped) = String::from_utf8(bytes) else {
                continue;
            };
            let key = kept.row.document().key.clone();
            match KeptRow::from_json(key, &flipped) {
                Ok(back) => assert_eq!(back, kept, "byte {position} bit {bit}: {flipped}"),
                Err(error) => assert_eq!(error.kind(), StoreErrorKind::Corrupt),
            }
        }
    }
    for length in 0..text.len() {
        if let Some(part) = text.get(..length) {
            let key = kept.row.document().key.clone();
            assert!(KeptRow::from_json(key, part).is_err(), "{part}");
        }
    }
}
