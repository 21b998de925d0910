//! What the tests of `import` need: legacy stores in a place, what they must yield, and a look at what the store holds.

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use integration_tests::{Backend, Faq, Place, open, workspace};
use serde_json::Value;

/// The versions of Chroma whose directories are kept.
pub(crate) const CHROMA: [&str; 5] = ["0.4.24", "0.6.3", "1.0.21", "1.5.9", "0.4.24-then-1.5.9"];

/// A row as the database holds it, everything but its numbers inside.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Held {
    /// Source, categories, question, answer, metadata as written, sheet, row, created, updated, run.
    pub(crate) fields: Vec<Option<String>>,
    /// The bits of its vector in the version that is served.
    pub(crate) bits: Vec<u32>,
}

impl Held {
    pub(crate) fn source(&self) -> &str {
        self.fields[0].as_deref().unwrap()
    }

    pub(crate) fn answer(&self) -> &str {
        self.fields[4].as_deref().unwrap()
    }

    pub(crate) fn metadata(&self) -> Value {
        serde_json::from_str(self.fields[5].as_deref().unwrap()).unwrap()
    }

    pub(crate) fn numbers(&self) -> Vec<f32> {
        self.bits.iter().copied().map(f32::from_bits).collect()
    }
}

/// Every row of a collection by `ID` or `ID:CHUNK`, read from the database itself.
pub(crate) fn held(place: &Place, backend: Backend, collection: &str) -> BTreeMap<String, Held> {
    let (metadata, vector) = match backend {
        Backend::Sqlite => ("r.metadata", "lower(hex(v.embedding))"),
        Backend::Postgres => (
            "r.metadata::text",
            "encode(vector_send(v.embedding), 'hex')",
        ),
    };
    let sql = format!(
        "SELECT r.document, r.chunk, s.id, r.category, r.subcategory, r.title, r.body, {metadata}, r.locator_sheet,
             r.locator_row, r.created_at, r.updated_at, u.id, {vector}
         FROM collections c
         JOIN embedding_records r ON r.collection_id = c.collection_id
         JOIN sources s ON s.source_id = r.source_id
         JOIN runs u ON u.run_id = r.run_id
         JOIN record_inputs i ON i.record_id = r.record_id AND i.version_id = c.active_version_id
         JOIN embedding_vectors v ON v.vector_id = i.vector_id
         WHERE c.name = '{collection}'"
    );
    let rows = match backend {
        Backend::Sqlite => sqlite_rows(&place.store(), &sql),
        Backend::Postgres => place.postgres().client().rows(&sql),
    };
    let row = |mut row: Vec<Option<String>>| {
        let hex = row.pop().flatten().unwrap();
        let fields = row.split_off(2);
        let [document, chunk] = <[Option<String>; 2]>::try_from(row).unwrap();
        let id = match chunk.as_deref() {
            Some("0") => document.unwrap(),
            chunk => format!("{}:{}", document.unwrap(), chunk.unwrap()),
        };
        let bits = match backend {
            Backend::Sqlite => words(&hex).map(u32::swap_bytes).collect(),
            // Length and a reserved word come first.
            Backend::Postgres => words(&hex).skip(1).collect(),
        };
        (id, Held { fields, bits })
    };
    rows.into_iter().map(row).collect()
}

/// Stored vectors, also those that no row refers to; right after a kill, when they may stand in the log alone.
pub(crate) fn stored_vectors(place: &Place, backend: Backend) -> i64 {
    let sql = "SELECT count(*) FROM embedding_vectors";
    match backend {
        Backend::Sqlite => rusqlite::Connection::open(place.store())
            .unwrap()
            .query_row(sql, (), |row| row.get(0))
            .unwrap(),
        Backend::Postgres => place.scalar(sql),
    }
}

/// Big-endian words.
fn words(hex: &str) -> impl Iterator<Item = u32> {
    hex.as_bytes()
        .chunks(8)
        .map(|word| u32::from_str_radix(std::str::from_utf8(word).unwrap(), 16).unwrap())
}

fn sqlite_rows(path: &Path, sql: &str) -> Vec<Vec<Option<String>>> {
    use rusqlite::types::Value as Cell;
    let connection = open(path);
    let mut statement = connection.prepare(sql).unwrap();
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| {
        (0..columns)
            .map(|column| {
                Ok(match row.get(column)? {
                    Cell::Null => None,
                    Cell::Integer(number) => Some(number.to_string()),
                    Cell::Text(text) => Some(text),
                    other => panic!("a column is {other:?}"),
                })
            })
            .collect()
    });
    rows.unwrap().map(Result::unwrap).collect()
}

/// A record that a legacy store must yield.
#[derive(Debug, Clone)]
pub(crate) struct Expected {
    pub(crate) text: Option<String>,
    pub(crate) metadata: Value,
    pub(crate) embedding: Vec<f32>,
}

impl Expected {
    fn of(line: &Value) -> Self {
        Self {
            text: line["document"].as_str().map(str::to_owned),
            metadata: line["metadata"].clone(),
            embedding: serde_json::from_value(line["embedding"].clone()).unwrap(),
        }
    }

    /// The row is that record, its vector in a tolerance of its length; 0 is bit for bit.
    #[track_caller]
    pub(crate) fn compare(&self, id: &str, held: &Held, tolerance: f32) {
        assert_eq!(
            held.answer(),
            self.text.as_deref().unwrap_or_default(),
            "{id}"
        );
        let found = held.numbers();
        assert_eq!(found.len(), self.embedding.len(), "{id}");
        let norm = self
            .embedding
            .iter()
            .map(|one| one * one)
            .sum::<f32>()
            .sqrt();
        for (found, wanted) in found.iter().zip(&self.embedding) {
            let same = found.to_bits() == wanted.to_bits();
            let close = (found - wanted).abs() <= tolerance * norm;
            assert!(same || (tolerance > 0.0 && close), "{id}: {found} {wanted}");
        }
    }
}

/// A directory that a version of Chroma left, unpacked in a place.
pub(crate) struct Chroma {
    expected: Vec<Value>,
    collections: Vec<Value>,
}

impl Chroma {
    /// Unpacks it as `legacy/db`.
    pub(crate) fn unpack(place: &Place, version: &str) -> Self {
        let archive = workspace()
            .join("fixtures/legacy/chroma")
            .join(format!("{version}.zip"));
        let to = place.path("legacy");
        let bytes = fs::read(archive).unwrap();
        let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
        archive.extract(&to).unwrap();
        let text = |name: &str| fs::read_to_string(to.join(name)).unwrap();
        let lines = text("expected.jsonl");
        let listed: Value = serde_json::from_str(&text("collections.json")).unwrap();
        Self {
            expected: lines
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect(),
            collections: listed["collections"].as_array().unwrap().clone(),
        }
    }

    /// Name, record count and whether its vectors are those that were written, of every collection of a database.
    pub(crate) fn collections(&self, database: &str) -> Vec<(String, u64)> {
        let of = self.collections.iter();
        of.filter(|entry| entry["database"] == database)
            .map(|entry| {
                let name = entry["name"].as_str().unwrap().to_owned();
                (name, entry["count"].as_u64().unwrap())
            })
            .collect()
    }

    /// What a collection must yield, by id.
    pub(crate) fn expected(&self, database: &str, collection: &str) -> BTreeMap<String, Expected> {
        let of = self.expected.iter();
        of.filter(|line| line["database"] == database && line["collection"] == collection)
            .map(|line| {
                let mut expected = Expected::of(line);
                if expected.metadata.is_null() {
                    expected.metadata = serde_json::json!({});
                }
                if let Some(uri) = line["uri"].as_str() {
                    expected.metadata["chroma:uri"] = uri.into();
                }
                (line["id"].as_str().unwrap().to_owned(), expected)
            })
            .collect()
    }
}

/// A directory with an index that FAISS wrote.
pub(crate) fn faiss(case: &str) -> PathBuf {
    workspace().join("fixtures/legacy/faiss").join(case)
}

/// What an index must yield, by the id that its users know.
pub(crate) fn expected_of_faiss(case: &str) -> BTreeMap<String, Expected> {
    let text = fs::read_to_string(faiss(case).join("expected.jsonl")).unwrap();
    let line = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        (line["id"].as_str().unwrap().to_owned(), Expected::of(&line))
    };
    text.lines().map(line).collect()
}

/// Files of a directory, byte for byte: reading must not touch it.
pub(crate) fn bytes_of(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(bytes_of(&path));
        } else {
            let bytes = fs::read(&path).unwrap();
            found.insert(path, bytes);
        }
    }
    found
}

/// An entry of a matrix with its record.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) id: String,
    pub(crate) text: Option<String>,
    pub(crate) vector: Vec<f32>,
}

/// So many items of a stub's vectors' length, with texts and numbers of their own.
pub(crate) fn items(count: usize, dimensions: usize) -> Vec<Item> {
    (0..count)
        .map(|number| Item {
            id: format!("item-{number:05}"),
            text: Some(format!("Как заблокировать карту номер {number}?")),
            vector: (0..dimensions)
                .map(|at| match at {
                    // Equal vectors of rows without a text would be stored once.
                    0 => number as f32 / 1024.0,
                    _ => ((number * 31 + at * 7) % 97) as f32 / 97.0 - 0.5 + 1e-3,
                })
                .collect(),
        })
        .collect()
}

/// Items with the very vectors that the stub gives for their texts.
pub(crate) fn computed(place: &Place, backend: Backend) -> Vec<Item> {
    place.save("own.csv", &Faq::with_ids(12));
    let report = place.migrate(
        "own.csv",
        &["--collection", "own", "--embed-text", "{answer}"],
    );
    assert_eq!(report["embedded"], 12);
    held(place, backend, "own")
        .into_iter()
        .map(|(id, row)| Item {
            id,
            text: Some(row.answer().to_owned()),
            vector: row.numbers(),
        })
        .collect()
}

/// Writes `NAME.jsonl` and `NAME.f32` into a place, and gives the arguments that import them.
pub(crate) fn save_items(place: &Place, name: &str, items: &[Item]) -> Vec<String> {
    let lines: String = items
        .iter()
        .map(|item| {
            let mut line =
                serde_json::json!({"id": item.id, "metadata": {"n": 1, "x": 0.5, "l": ["a"]}});
            if let Some(text) = &item.text {
                line["text"] = text.as_str().into();
            }
            format!("{line}\n")
        })
        .collect();
    let numbers: Vec<u8> = items
        .iter()
        .flat_map(|item| &item.vector)
        .flat_map(|number| number.to_le_bytes())
        .collect();
    place.write(&format!("{name}.jsonl"), lines);
    place.write(&format!("{name}.f32"), numbers);
    let dimensions = items.first().map_or(1, |item| item.vector.len());
    [
        "import",
        "vectors",
        "--items",
        &format!("{name}.jsonl"),
        "--vectors",
        &format!("{name}.f32"),
        "--dimensions",
        &dimensions.to_string(),
        "--model",
        "stub-model",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// Arguments as the harness takes them.
pub(crate) fn with<'a>(args: &'a [String], more: &[&'a str]) -> Vec<&'a str> {
    let args = args.iter().map(String::as_str);
    args.chain(more.iter().copied()).collect()
}
