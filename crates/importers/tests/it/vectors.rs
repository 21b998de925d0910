//! A matrix beside a file of records, and records with vectors of their own.

use std::fs;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use importers::vectors::open;
use storage_core::{ImportErrorKind, MetadataValue};
use tempfile::TempDir;

use crate::harness::{Yield, bytes_of, once, read};

struct Place {
    directory: TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.directory.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Items with the ids a, b, c... and a matrix of whole numbers: row i is i + 1, i + 2...
    fn pair(&self, lines: usize, rows: u16, columns: u16) -> (PathBuf, PathBuf) {
        let items = (0..lines)
            .map(|line| format!("{{\"id\":\"{}\",\"text\":\"t{line}\"}}\n", letter(line)))
            .collect::<String>();
        let numbers = (0..rows)
            .flat_map(|row| (1..=columns).map(move |column| f32::from(row + column)))
            .collect::<Vec<_>>();
        let items = self.write("items.jsonl", items);
        let matrix = self.write(
            "v.npy",
            npy("<f4", rows.into(), columns.into(), &f4(&numbers)),
        );
        (items, matrix)
    }
}

fn letter(line: usize) -> char {
    char::from(b'a' + u8::try_from(line).unwrap())
}

fn f4(numbers: &[f32]) -> Vec<u8> {
    numbers
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect()
}

fn npy(descr: &str, rows: usize, columns: usize, data: &[u8]) -> Vec<u8> {
    let mut header =
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    while (header.len() + 11) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(u16::try_from(header.len()).unwrap().to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

fn some(dimensions: u32) -> Option<NonZeroU32> {
    NonZeroU32::new(dimensions)
}

fn refused(
    items: &Path,
    vectors: Option<&Path>,
    dimensions: Option<NonZeroU32>,
) -> (ImportErrorKind, String) {
    let error = open(items, vectors, dimensions).expect_err("is refused");
    (error.kind(), error.to_string())
}

fn reasons(found: &Yield) -> Vec<(Option<u64>, &str)> {
    found
        .faults
        .iter()
        .map(|fault| (fault.row, fault.reason.as_str()))
        .collect()
}

#[test]
fn row_i_of_the_matrix_belongs_to_line_i() {
    let place = Place::new();
    let (items, matrix) = place.pair(3, 3, 2);
    let before = bytes_of(place.directory.path());
    let source = open(&items, Some(&matrix), None).unwrap();
    let collection = source.collection();
    assert_eq!(
        (collection.kind, collection.name.as_str()),
        ("vectors", "items")
    );
    assert_eq!((collection.total, collection.dimensions), (3, some(2)));
    assert_eq!(collection.lossy, None);
    assert!(collection.notes.is_empty());
    let found = read(&*source);
    assert!(found.faults.is_empty() && found.error.is_none());
    for (position, record) in found.records.iter().enumerate() {
        assert_eq!(record.document, letter(position).to_string());
        assert_eq!(record.text.as_deref(), Some(&*format!("t{position}")));
        assert_eq!(record.locator.row, Some(position as u64 + 1));
        #[allow(clippy::cast_precision_loss)]
        let first = position as f32 + 1.0;
        assert_eq!(record.embedding.as_slice(), [first, first + 1.0]);
    }
    assert_eq!(before, bytes_of(place.directory.path()));
}

#[test]
fn every_type_of_metadata_stays() {
    let place = Place::new();
    let items = place.write(
        "items.jsonl",
        concat!(
            r#"{"id":"а","text":"Вопрос 😀","category":"Карты","lang":"ru","embedding":[1,2],"#,
            r#""metadata":{"n":9007199254740993,"f":3.0,"b":true,"l":["x",1],"o":{"p":null},"z":null,"e":""}}"#
        ),
    );
    let found = read(&*open(&items, None, None).unwrap());
    let record = &found.records[0];
    assert_eq!(record.category.as_deref(), Some("Карты"));
    let text = |text: &str| MetadataValue::String(text.to_owned());
    let expected = [
        ("b", MetadataValue::Bool(true)),
        ("e", text("")),
        ("f", MetadataValue::F64(3.0)),
        (
            "l",
            MetadataValue::List(vec![text("x"), MetadataValue::I64(1)]),
        ),
        ("lang", text("ru")),
        ("n", MetadataValue::I64(9_007_199_254_740_993)),
        ("o", text(r#"{"p":null}"#)),
    ];
    let metadata = record.metadata.clone().into_iter().collect::<Vec<_>>();
    assert_eq!(
        metadata,
        expected.map(|(key, value)| (key.to_owned(), value))
    );
}

#[test]
fn all_three_types_of_numbers_are_read() {
    let place = Place::new();
    let items = place.write("items.jsonl", "{\"id\":\"a\"}\r\n\r\n");
    let f8 = [0.1_f64, -2.5]
        .iter()
        .flat_map(|number| number.to_le_bytes());
    let f2 = [0x3c00_u16, 0xc000]
        .iter()
        .flat_map(|number| number.to_le_bytes());
    let cases = [
        ("<f8", f8.collect::<Vec<_>>(), [0.1, -2.5], 1),
        ("<f4", f4(&[0.1, -2.5]), [0.1, -2.5], 0),
        ("<f2", f2.collect(), [1.0, -2.0], 0),
    ];
    for (descr, data, expected, notes) in cases {
        let matrix = place.write("v.npy", npy(descr, 1, 2, &data));
        let source = open(&items, Some(&matrix), some(2)).unwrap();
        assert_eq!(source.collection().notes.len(), notes, "{descr}");
        assert_eq!(read(&*source).records[0].embedding.as_slice(), expected);
    }
    let raw = place.write("v.f32", f4(&[0.1, -2.5]));
    let source = open(&items, Some(&raw), some(2)).unwrap();
    assert_eq!(read(&*source).records[0].embedding.as_slice(), [0.1, -2.5]);
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let place = Place::new();
    let (items, matrix) = place.pair(3, 4, 2);
    let (kind, message) = refused(&items, Some(&matrix), None);
    assert_eq!(kind, ImportErrorKind::Damaged);
    assert!(
        message.contains("4 vectors of 2 numbers and 3 lines"),
        "{message}"
    );
    let (kind, message) = refused(&items, Some(&matrix), some(3));
    assert_eq!(kind, ImportErrorKind::Dimensions);
    assert!(
        message.contains("have 2 numbers, and 3 were asked for"),
        "{message}"
    );
    let (_, message) = refused(&items, None, None);
    assert!(message.contains("--vectors"), "{message}");
    let raw = place.write("v.f32", [0; 24]);
    let (_, message) = refused(&items, Some(&raw), None);
    assert!(message.contains("--dimensions"), "{message}");
    let (_, message) = refused(&items, Some(&raw), some(4));
    assert!(
        message.contains("24 bytes are no whole number"),
        "{message}"
    );
    assert!(open(&items, Some(&raw), some(2)).is_ok());
    let (kind, message) = refused(&items, Some(&place.directory.path().join("v.npz")), None);
    assert_eq!(kind, ImportErrorKind::NotFound);
    assert!(message.contains("did you mean `v.npy`"), "{message}");
    let zipped = place.write("w.npz", "PK");
    let (_, message) = refused(&items, Some(&zipped), None);
    assert!(message.contains("np.save"), "{message}");
    let array = place.write("array.json", "[{\"id\":\"a\"}]");
    let (_, message) = refused(&array, None, None);
    assert!(message.contains("jq -c"), "{message}");
    let (kind, _) = refused(place.directory.path(), None, None);
    assert_eq!(kind, ImportErrorKind::Unsupported);
}

#[test]
fn a_faulty_line_keeps_its_row_and_the_rest_goes_on() {
    let place = Place::new();
    let items = place.write(
        "items.jsonl",
        [
            &b"{\"id\":\"a\"}\n\n{\"id\":\"a\"}\n{\"text\":\"x\"}\n{\"id\":\"n\"}\n{\"id\":\"z\"}\n{\"id\":\"\\u0000\"}\n"[..],
            &b"{\"id\":\"\xff\"}\n{\"id\":\"last\"}\n \n\n"[..],
        ]
        .concat(),
    );
    let mut numbers = (1..=9_u8).map(f32::from).collect::<Vec<_>>();
    numbers[4] = f32::NAN;
    numbers[5] = 0.0;
    let matrix = place.write("v.npy", npy("<f4", 9, 1, &f4(&numbers)));
    let found = read(&*open(&items, Some(&matrix), None).unwrap());
    let records = found
        .records
        .iter()
        .map(|record| (record.document.as_str(), record.embedding.as_slice()[0]))
        .collect::<Vec<_>>();
    assert_eq!(records, [("a", 1.0), ("last", 9.0)]);
    let expected = [
        (Some(2), "the line is empty"),
        (Some(3), "line 1 has the same id"),
        (Some(4), "the line has no `id`"),
        (Some(5), "number 0 of the vector is not finite"),
        (Some(6), "the vector's norm is outside 1e-6 to 1e6: 0e0"),
        (Some(7), "the id holds a NUL character"),
        (Some(8), "the line is not valid UTF-8"),
    ];
    assert_eq!(reasons(&found), expected);
    assert_eq!(found.faults[1].id.as_deref(), Some("a"));
    assert_eq!(found.faults[3].id.as_deref(), Some("n"));
}

#[test]
fn vectors_within_the_lines_have_one_length() {
    let place = Place::new();
    let items = place.write(
        "items.jsonl",
        "\u{feff}{\"id\":\"a\"}\n{\"id\":\"b\",\"values\":[1,2]}\n{\"id\":\"c\",\"vector\":[1]}\n{\"id\":\"d\",\"embedding\":null}\n",
    );
    let source = open(&items, None, None).unwrap();
    assert_eq!(source.collection().dimensions, some(2));
    let found = read(&*source);
    assert_eq!(found.records.len(), 1);
    let expected = [
        (Some(1), "the line has no vector under `embedding`"),
        (Some(3), "`vector` has 1 numbers, and 2 are expected"),
        (Some(4), "the line has no vector under `embedding`"),
    ];
    assert_eq!(reasons(&found), expected);
    assert_eq!(
        read(&*open(&items, None, some(1)).unwrap()).records[0].document,
        "c"
    );
}

#[test]
fn the_matrix_wins_and_says_so() {
    let place = Place::new();
    let items = place.write("items.jsonl", "{\"id\":\"a\",\"embedding\":[9,9,9]}\n");
    let matrix = place.write("v.npy", npy("<f4", 1, 2, &f4(&[1.0, 2.0])));
    let source = open(&items, Some(&matrix), None).unwrap();
    assert!(source.collection().notes[0].contains("`embedding`"));
    let found = read(&*source);
    assert_eq!(found.records[0].embedding.as_slice(), [1.0, 2.0]);
    assert!(found.records[0].metadata.is_empty());
}

#[test]
fn a_line_longer_than_a_record_is_left_out() {
    let place = Place::new();
    let long = format!(
        "{{\"id\":\"a\",\"text\":\"{}\"}}\n{{\"id\":\"b\"}}\n",
        "x".repeat(1 << 20)
    );
    let items = place.write("items.jsonl", long);
    let matrix = place.write("v.npy", npy("<f4", 2, 1, &f4(&[1.0, 2.0])));
    let found = read(&*open(&items, Some(&matrix), None).unwrap());
    assert_eq!(
        reasons(&found),
        [(Some(1), "the line is longer than 1 MiB")]
    );
    assert_eq!(found.records[0].embedding.as_slice(), [2.0]);
}

#[test]
fn a_file_that_changes_ends_the_reading() {
    let place = Place::new();
    let (items, matrix) = place.pair(3, 3, 2);
    let source = open(&items, Some(&matrix), None).unwrap();
    let more = [&fs::read(&items).unwrap()[..], b"{\"id\":\"z\"}\n"].concat();
    fs::write(&items, more).unwrap();
    let found = once(&*source);
    assert_eq!(found.error.unwrap().kind(), ImportErrorKind::Changing);
    assert!(found.records.is_empty());
}

#[test]
fn a_matrix_cut_anywhere_is_refused() {
    let place = Place::new();
    let (items, matrix) = place.pair(3, 3, 2);
    let whole = fs::read(&matrix).unwrap();
    for length in 0..whole.len() {
        let cut = place.write("cut.npy", &whole[..length]);
        let (kind, _) = refused(&items, Some(&cut), None);
        assert_eq!(kind, ImportErrorKind::Damaged, "{length} bytes");
    }
    let longer = place.write("longer.npy", [&whole[..], &[0]].concat());
    assert_eq!(
        refused(&items, Some(&longer), None).0,
        ImportErrorKind::Damaged
    );
}

#[test]
fn a_header_that_claims_the_world_allocates_nothing() {
    let place = Place::new();
    let items = place.write("items.jsonl", "{\"id\":\"a\"}\n");
    for (rows, columns) in [
        (usize::MAX, 4),
        (4, usize::MAX),
        (usize::MAX, 65_536),
        (1, 0),
        (0, 0),
    ] {
        let matrix = place.write("v.npy", npy("<f8", rows, columns, &[0; 16]));
        let (kind, _) = refused(&items, Some(&matrix), None);
        assert!(
            matches!(kind, ImportErrorKind::Damaged | ImportErrorKind::TooLarge),
            "{rows} x {columns}: {kind:?}"
        );
    }
}

/// A listener that goes away ends the thread: nothing waits for it when the runtime goes down.
#[test]
fn who_stops_listening_stops_the_reading() {
    use futures_util::StreamExt as _;
    let place = Place::new();
    let lines = (0..20_000)
        .map(|line| format!("{{\"id\":\"{line}\",\"embedding\":[1]}}\n"))
        .collect::<String>();
    let items = place.write("items.jsonl", lines);
    let source = open(&items, None, None).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let first = runtime.block_on(async { source.read().next().await });
    assert_eq!(first.unwrap().unwrap().len(), 512);
    drop(runtime);
}
