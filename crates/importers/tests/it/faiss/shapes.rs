//! Shapes of indexes that the fixtures do not have, put together field by field.

use std::fs;

use importers::faiss::open;
use storage_core::{ImportError, ImportErrorKind, ImportSource, Metric};
use tempfile::TempDir;

use super::{case, lossy};
use crate::harness::read;

fn u64s(numbers: &[u64]) -> Vec<u8> {
    numbers
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect()
}

fn i32s(numbers: &[i32]) -> Vec<u8> {
    numbers
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect()
}

fn f32s(numbers: &[f32]) -> Vec<u8> {
    numbers
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect()
}

/// Letters and header: dimensions, vectors, metric.
fn head(letters: &[u8; 4], d: i32, total: u64, metric: i32) -> Vec<u8> {
    let mut bytes = [
        &letters[..],
        &d.to_le_bytes(),
        &u64s(&[total, 1 << 20, 1 << 20]),
        &[1],
    ]
    .concat();
    bytes.extend(metric.to_le_bytes());
    if metric > 1 {
        bytes.extend(f32s(&[3.0]));
    }
    bytes
}

fn flat(d: i32, numbers: &[f32]) -> Vec<u8> {
    let total = numbers.len() as u64 / u64::try_from(d).unwrap();
    [
        head(b"IxF2", d, total, 1),
        u64s(&[numbers.len() as u64]),
        f32s(numbers),
    ]
    .concat()
}

fn graph(letters: &[u8; 4], d: i32, total: u64, storage: &[u8]) -> Vec<u8> {
    let levels = vec![1; usize::try_from(total).unwrap()];
    [
        &head(letters, d, total, 1)[..],
        &u64s(&[0, 0, total]),
        &i32s(&levels),
        &u64s(&[total + 1]),
        &u64s(&vec![0; levels.len() + 1]),
        &u64s(&[0]),
        &i32s(&[-1, -1, 40, 16, 1]),
        storage,
    ]
    .concat()
}

/// Inverted lists of vectors of one number: ids and numbers by list.
fn inverted(direct: &[u8], lists: &[&[(i64, f32)]]) -> Vec<u8> {
    let total = lists.iter().map(|list| list.len() as u64).sum::<u64>();
    let centres = vec![1.0; lists.len()];
    let sizes = lists
        .iter()
        .map(|list| list.len() as u64)
        .collect::<Vec<_>>();
    let mut bytes = [
        &head(b"IwFl", 1, total, 1)[..],
        &u64s(&[sizes.len() as u64, 1]),
        &flat(1, &centres),
        direct,
        b"ilar",
        &u64s(&[sizes.len() as u64, 4]),
        b"full",
        &u64s(&[sizes.len() as u64]),
        &u64s(&sizes),
    ]
    .concat();
    for list in lists {
        bytes.extend(list.iter().flat_map(|(_, number)| number.to_le_bytes()));
        bytes.extend(list.iter().flat_map(|(id, _)| id.to_le_bytes()));
    }
    bytes
}

fn no_map() -> Vec<u8> {
    [&[0][..], &u64s(&[0])].concat()
}

fn id_map(d: i32, nested: &[u8], ids: &[u64]) -> Vec<u8> {
    let total = ids.len() as u64;
    [
        &head(b"IxMp", d, total, 1)[..],
        nested,
        &u64s(&[total]),
        &u64s(ids),
    ]
    .concat()
}

/// One number by its code.
fn scalar(qtype: i32, d: u64, trained: &[f32], code: &[u8]) -> Vec<u8> {
    let size = code.len() as u64;
    [
        &head(b"IxSQ", i32::try_from(d).unwrap(), 1, 1)[..],
        &i32s(&[qtype, 0]),
        &f32s(&[0.0]),
        &u64s(&[d, size, trained.len() as u64]),
        &f32s(trained),
        &u64s(&[size]),
        code,
    ]
    .concat()
}

fn opened(place: &TempDir, bytes: &[u8]) -> Result<Box<dyn ImportSource>, ImportError> {
    let path = place.path().join("index.faiss");
    fs::write(&path, bytes).unwrap();
    open(&path, None, &lossy())
}

/// Ids and first numbers of what is read.
fn yielded(bytes: &[u8]) -> Vec<(String, f32)> {
    let place = tempfile::tempdir().unwrap();
    let found = read(&*opened(&place, bytes).unwrap());
    assert!(
        found.faults.is_empty() && found.error.is_none(),
        "{found:?}"
    );
    found
        .records
        .into_iter()
        .map(|record| (record.document, record.embedding.as_slice()[0]))
        .collect()
}

fn pairs(expected: &[(&str, f32)]) -> Vec<(String, f32)> {
    expected
        .iter()
        .map(|(id, number)| ((*id).to_owned(), *number))
        .collect()
}

fn refused(bytes: &[u8]) -> String {
    let place = tempfile::tempdir().unwrap();
    opened(&place, bytes).unwrap_err().to_string()
}

/// A kind of quantiser, what it was trained to, a code, and the vector that the code stands for.
type Quantised = (i32, &'static [f32], &'static [u8], &'static [f32]);

#[test]
fn every_scalar_quantiser_is_decoded() {
    let cases: &[Quantised] = &[
        (0, &[1.0, 0.0, 255.0, 0.0], &[4, 9], &[5.5, 0.0]),
        (
            1,
            &[1.0, 0.0, 0.0, 15.0, 15.0, 30.0],
            &[0x21, 0x03],
            &[2.5, 2.5, 7.0],
        ),
        (2, &[-1.0, 255.0], &[0, 2], &[-0.5, 1.5]),
        (3, &[-1.0, 15.0], &[0x20], &[-0.5, 1.5]),
        (4, &[], &[0x00, 0x3c, 0x00, 0xc0], &[1.0, -2.0]),
        (5, &[], &[7, 255], &[7.0, 255.0]),
        // 1, 2, 3, 63, 5 in six bits each.
        (
            6,
            &[0.0, 0.0, 0.0, 0.0, 0.0, 63.0, 63.0, 63.0, 63.0, 63.0],
            &[0x81, 0x30, 0xfc, 0x05],
            &[1.5, 2.5, 3.5, 63.5, 5.5],
        ),
        (7, &[], &[0x80, 0x3f, 0x00, 0xc0], &[1.0, -2.0]),
        (8, &[], &[0, 129], &[-128.0, 1.0]),
    ];
    for (qtype, trained, code, expected) in cases {
        let place = tempfile::tempdir().unwrap();
        let bytes = scalar(*qtype, expected.len() as u64, trained, code);
        let found = read(&*opened(&place, &bytes).unwrap());
        let numbers = found.records[0].embedding.as_slice();
        for (number, expected) in numbers.iter().zip(*expected) {
            assert!(
                (number - expected).abs() < 1e-5,
                "type {qtype}: {numbers:?}"
            );
        }
    }
    assert!(refused(&scalar(9, 1, &[], &[0])).contains("scalar quantiser 9 is not read"));
    assert!(
        refused(&scalar(0, 2, &[1.0, 2.0], &[0, 0]))
            .contains("has 2 trained numbers, where 4 belong")
    );
    assert!(refused(&scalar(4, 2, &[], &[0, 0])).contains("vectors of another length"));
}

#[test]
fn graphs_may_stand_over_quantised_vectors() {
    for (letters, name) in [(b"IHNs", "sq_8bit"), (b"IHNp", "pq")] {
        let storage = fs::read(case(name).join("index.faiss")).unwrap();
        let place = tempfile::tempdir().unwrap();
        let source = opened(&place, &graph(letters, 24, 64, &storage)).unwrap();
        assert!(source.collection().lossy.is_some());
        let alone = open(&case(name), None, &lossy()).unwrap();
        assert_eq!(read(&*source).records, read(&*alone).records);
        let other = if letters == b"IHNs" { b"IHNp" } else { b"IHNs" };
        assert!(refused(&graph(other, 24, 64, &storage)).contains("of another kind"));
        assert!(
            refused(&graph(letters, 24, 63, &storage))
                .contains("64 vectors of 24 numbers lie in an index of 63")
        );
    }
    assert!(refused(&graph(b"IHNf", 24, 64, b"null")).contains("hnsw without storage"));
}

#[test]
fn other_metrics_have_an_argument() {
    let place = tempfile::tempdir().unwrap();
    let bytes = [head(b"IxFl", 2, 1, 4), u64s(&[2]), f32s(&[1.0, 2.0])].concat();
    let source = opened(&place, &bytes).unwrap();
    assert_eq!(source.collection().metric, Metric::Other);
    assert_eq!(read(&*source).records[0].embedding.as_slice(), [1.0, 2.0]);
    let bytes = [head(b"IxFI", 2, 1, 1), u64s(&[2]), f32s(&[1.0, 2.0])].concat();
    assert!(refused(&bytes).contains("the metric is not that of the index"));
}

#[test]
fn lists_are_read_by_id() {
    let lists: &[&[(i64, f32)]] = &[&[(7, 1.0), (-5, 2.0)], &[], &[(i64::MAX, 3.0), (0, 4.0)]];
    let expected = pairs(&[
        ("-5", 2.0),
        ("0", 4.0),
        ("7", 1.0),
        ("9223372036854775807", 3.0),
    ]);
    assert_eq!(yielded(&inverted(&no_map(), lists)), expected);
    let hashed = [&[2][..], &u64s(&[0, 1, 7, 0])].concat();
    assert_eq!(yielded(&inverted(&hashed, lists)), expected);
    let listed = [&[1][..], &u64s(&[2, 7, 0])].concat();
    assert_eq!(yielded(&inverted(&listed, lists)), expected);
    let place = tempfile::tempdir().unwrap();
    let twice = inverted(&no_map(), &[&[(7, 1.0)], &[(7, 2.0)]]);
    let found = read(&*opened(&place, &twice).unwrap());
    assert_eq!((found.records.len(), found.faults.len()), (1, 1));
    assert_eq!(found.faults[0].id.as_deref(), Some("7"));
}

#[test]
fn lists_elsewhere_are_refused_by_name() {
    let bytes = inverted(&no_map(), &[&[(0, 1.0)]]);
    let at = bytes.windows(4).position(|four| four == b"ilar").unwrap();
    let mut elsewhere = bytes[..at].to_vec();
    elsewhere.extend(b"ilod");
    assert!(refused(&elsewhere).contains("`ilod` is not read"));
    let mut none = bytes[..at].to_vec();
    none.extend(b"il00");
    assert!(refused(&none).contains("the lists of the index are missing"));
}

#[test]
fn indexes_lie_within_each_other() {
    let lists = inverted(&no_map(), &[&[(1, 1.0)], &[(0, 2.0)]]);
    assert_eq!(
        yielded(&id_map(1, &lists, &[30, 20])),
        pairs(&[("30", 2.0), ("20", 1.0)])
    );
    let gaps = inverted(&no_map(), &[&[(1, 1.0)], &[(5, 2.0)]]);
    assert!(refused(&id_map(1, &gaps, &[30, 20])).contains("do not hold each position once"));
    let mapped = id_map(1, &flat(1, &[1.0, 2.0]), &[30, 20]);
    assert!(refused(&id_map(1, &mapped, &[3, 2])).contains("an id map within an id map"));
    let normalised = |count: i32, nested: &[u8]| {
        let transform = [&b"VNrm"[..], &f32s(&[2.0]), &i32s(&[1, 1]), &[1]].concat();
        [
            &head(b"IxPT", 1, 2, 1)[..],
            &i32s(&[count]),
            &transform,
            nested,
        ]
        .concat()
    };
    assert_eq!(
        yielded(&normalised(1, &mapped)),
        pairs(&[("30", 1.0), ("20", 2.0)])
    );
    assert!(refused(&normalised(2, &mapped)).contains("`IxMp` is not read"));
    let place = tempfile::tempdir().unwrap();
    let source = opened(&place, &normalised(1, &mapped)).unwrap();
    assert!(
        source
            .collection()
            .lossy
            .as_ref()
            .unwrap()
            .contains("lengths")
    );
}

#[test]
fn an_index_may_be_empty() {
    for bytes in [
        flat(3, &[]),
        id_map(3, &flat(3, &[]), &[]),
        inverted(&no_map(), &[&[], &[]]),
        graph(b"IHNf", 3, 0, &flat(3, &[])),
    ] {
        assert!(yielded(&bytes).is_empty());
    }
}

#[test]
fn what_follows_the_index_is_damage() {
    let bytes = [flat(1, &[1.0]), vec![0]].concat();
    let place = tempfile::tempdir().unwrap();
    let error = opened(&place, &bytes).unwrap_err();
    assert_eq!(error.kind(), ImportErrorKind::Damaged);
    assert!(error.to_string().contains("1 bytes follow the index"));
}
