//! Chroma's persistent directories, as the real versions left them.

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use importers::chroma::{ChromaOptions, open};
use serde_json::Value;
use storage_core::{
    ImportError, ImportErrorKind, ImportSource, ImportedRecord, MetadataValue, Metric,
};
use tempfile::TempDir;

use crate::harness::{Yield, bytes_of, once, read};

mod damage;
mod journal;

pub(crate) const VERSIONS: [&str; 5] = ["0.4.24", "0.6.3", "1.0.21", "1.5.9", "0.4.24-then-1.5.9"];

/// A directory that a version of Chroma left, in a place of its own.
pub(crate) struct Fixture {
    pub(crate) db: PathBuf,
    expected: String,
    collections: Value,
    _place: TempDir,
}

impl Fixture {
    pub(crate) fn of(version: &str) -> Self {
        let archive = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../fixtures/legacy/chroma")
            .join(format!("{version}.zip"));
        let place = tempfile::tempdir().unwrap();
        let bytes = fs::read(archive).unwrap();
        zip::ZipArchive::new(Cursor::new(bytes))
            .unwrap()
            .extract(place.path())
            .unwrap();
        let text = |name: &str| fs::read_to_string(place.path().join(name)).unwrap();
        Self {
            db: place.path().join("db"),
            expected: text("expected.jsonl"),
            collections: serde_json::from_str(&text("collections.json")).unwrap(),
            _place: place,
        }
    }

    /// What a collection must yield, by id.
    fn expected(&self, database: &str, collection: &str) -> BTreeMap<String, Expected> {
        self.expected
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .filter(|row| row["database"] == database && row["collection"] == collection)
            .map(|row| (row["id"].as_str().unwrap().to_owned(), Expected::of(&row)))
            .collect()
    }

    /// Name and id of each vector segment's directory, by database and name.
    pub(crate) fn segment(&self, collection: &str) -> PathBuf {
        let listed = self.collections["collections"].as_array().unwrap();
        let found = listed.iter().find(|entry| entry["name"] == collection);
        self.db
            .join(found.unwrap()["vector_segment"].as_str().unwrap())
    }
}

#[derive(Debug, PartialEq)]
struct Expected {
    text: Option<String>,
    metadata: BTreeMap<String, MetadataValue>,
    embedding: Vec<f32>,
}

impl Expected {
    fn of(row: &Value) -> Self {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let mut metadata: BTreeMap<_, _> = row["metadata"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, value)| (key.clone(), MetadataValue::from_json(value).unwrap()))
            .collect();
        if let Some(uri) = text(&row["uri"]) {
            metadata.insert("chroma:uri".to_owned(), MetadataValue::String(uri));
        }
        let numbers = row["embedding"].as_array().unwrap();
        Self {
            text: text(&row["document"]),
            metadata,
            embedding: numbers
                .iter()
                .map(|number| number.as_f64().unwrap() as f32)
                .collect(),
        }
    }
}

pub(crate) fn options(collections: &[&str]) -> ChromaOptions {
    ChromaOptions {
        collections: collections.iter().map(|&name| name.to_owned()).collect(),
        ..ChromaOptions::default()
    }
}

pub(crate) fn only(path: &Path, collection: &str) -> Box<dyn ImportSource> {
    let mut sources = open(path, &options(&[collection])).unwrap();
    assert_eq!(sources.len(), 1);
    sources.pop().unwrap()
}

fn refused(path: &Path, options: &ChromaOptions) -> ImportError {
    open(path, options).unwrap_err()
}

/// Every record is what was written; how many vectors are so bit for bit.
fn compare(found: &[ImportedRecord], expected: &BTreeMap<String, Expected>, what: &str) -> usize {
    let mut exact = 0;
    assert_eq!(found.len(), expected.len(), "{what}");
    for record in found {
        let wanted = &expected[&record.document];
        assert_eq!(record.text, wanted.text, "{what}: {}", record.document);
        assert_eq!(
            record.metadata, wanted.metadata,
            "{what}: {}",
            record.document
        );
        assert_eq!(record.chunk, 0);
        let numbers = record.embedding.as_slice();
        assert_eq!(numbers.len(), wanted.embedding.len());
        let norm = wanted
            .embedding
            .iter()
            .map(|number| f64::from(*number).powi(2))
            .sum::<f64>()
            .sqrt();
        let bits = |numbers: &[f32]| {
            numbers
                .iter()
                .map(|number| number.to_bits())
                .collect::<Vec<_>>()
        };
        if bits(numbers) == bits(&wanted.embedding) {
            exact += 1;
        }
        for (a, b) in numbers.iter().zip(&wanted.embedding) {
            let apart = (f64::from(*a) - f64::from(*b)).abs();
            assert!(apart <= 1e-6 * norm, "{what}: {}: {a} {b}", record.document);
        }
    }
    exact
}

#[test]
fn every_version_yields_what_was_written_into_it() {
    for version in VERSIONS {
        let fixture = Fixture::of(version);
        let before = bytes_of(&fixture.db);
        let sources = open(&fixture.db, &ChromaOptions::default()).unwrap();
        let listed = fixture.collections["collections"].as_array().unwrap();
        assert_eq!(sources.len(), listed.len(), "{version}");
        for source in &sources {
            let about = source.collection();
            let (database, name) = about
                .name
                .split_once('/')
                .unwrap_or(("default_database", &about.name));
            let what = format!("{version} {}", about.name);
            let entry = listed
                .iter()
                .find(|entry| entry["name"] == name && entry["database"] == database)
                .unwrap();
            let expected = fixture.expected(database, name);
            let Yield {
                records,
                faults,
                error,
            } = read(&**source);
            assert!(error.is_none(), "{what}: {error:?}");
            assert_eq!(faults, [], "{what}");
            let exact = compare(&records, &expected, &what);
            assert_eq!(about.total, entry["count"].as_u64().unwrap(), "{what}");
            let dimensions = about.dimensions.map(|number| u64::from(number.get()));
            assert_eq!(dimensions, entry["dimension"].as_u64(), "{what}");
            // What was never divided by its norm is exact; so is whatever the log still has.
            let in_log = entry["wal_rows"].as_u64().unwrap() > 0
                && !entry["segment_files"]
                    .as_object()
                    .unwrap()
                    .contains_key("index_metadata.pickle");
            if about.metric != Metric::Cosine || in_log || version.starts_with("0.4") {
                assert_eq!(exact, records.len(), "{what}");
            }
            let order: Vec<_> = records.iter().map(|record| record.locator.row).collect();
            assert!(order.is_sorted(), "{what}");
        }
        assert_eq!(before, bytes_of(&fixture.db), "{version}");
    }
}

#[test]
fn a_collection_describes_itself() {
    for version in VERSIONS {
        let fixture = Fixture::of(version);
        let sources = open(&fixture.db, &ChromaOptions::default()).unwrap();
        for source in &sources {
            let about = source.collection();
            let metric = match &*about.name {
                "tickets_l2" | "readded" | "support/faq_main" => Metric::Euclidean,
                "macros_ip" => Metric::InnerProduct,
                _ => Metric::Cosine,
            };
            assert_eq!(about.metric, metric, "{version} {}", about.name);
            assert_eq!(about.kind, "chroma");
            assert_eq!(about.location, fixture.db.display().to_string());
            assert_eq!((about.model.as_ref(), about.lossy.as_ref()), (None, None));
            let twice = about
                .notes
                .iter()
                .any(|note| note.contains("several databases"));
            let is_twice = about.name.ends_with("faq_main") && !version.contains("then");
            assert_eq!(twice, is_twice, "{:?}", about.notes);
            let upgraded = about.notes.iter().any(|note| note.contains("before 1.0"));
            assert_eq!(upgraded, version.contains("then"), "{:?}", about.notes);
        }
    }
}

#[test]
fn records_that_the_index_forgot_come_from_the_log_and_are_counted() {
    let fixture = Fixture::of("0.4.24");
    for (name, forgotten) in [("tickets_l2", 2), ("readded", 2)] {
        let source = only(&fixture.db, name);
        let notes = &source.collection().notes;
        let note = format!("{forgotten} records that Chroma's own index has forgotten");
        assert!(notes.iter().any(|there| there.contains(&note)), "{notes:?}");
    }
}

#[test]
fn one_name_in_two_databases_is_two_collections() {
    let fixture = Fixture::of("1.0.21");
    let names = |options: &ChromaOptions| -> Vec<String> {
        let sources = open(&fixture.db, options).unwrap();
        sources
            .iter()
            .map(|source| source.collection().name.clone())
            .collect()
    };
    // The plain name is that of the default database, where people put collections without thinking of databases.
    assert_eq!(names(&options(&["faq_main"])), ["faq_main"]);
    assert_eq!(
        names(&options(&["faq_main", "support/faq_main"])),
        ["faq_main", "support/faq_main"]
    );
    assert_eq!(names(&options(&["support/faq_main"])), ["support/faq_main"]);
    assert_eq!(
        names(&options(&["default_tenant/support/faq_main"])),
        ["support/faq_main"]
    );
    assert_eq!(
        names(&options(&["default_database/faq_main"])),
        ["faq_main"]
    );
    let of_support = ChromaOptions {
        database: Some("support".to_owned()),
        ..ChromaOptions::default()
    };
    assert_eq!(names(&of_support), ["support/faq_main"]);
    let named = ChromaOptions {
        collections: vec!["faq_main".to_owned()],
        ..of_support
    };
    assert_eq!(names(&named), ["support/faq_main"]);
    // Twice the same is once.
    assert_eq!(names(&options(&["readded", "readded"])), ["readded"]);
}

#[test]
fn a_name_that_is_not_there_is_answered_with_those_that_are() {
    let fixture = Fixture::of("1.0.21");
    let error = refused(&fixture.db, &options(&["readed"]));
    assert_eq!(error.kind(), ImportErrorKind::NotFound);
    let message = error.to_string();
    assert!(message.contains("did you mean `readded`?"), "{message}");
    assert!(
        message.contains("kb_large") && message.contains("support/faq_main"),
        "{message}"
    );
    for (field, wanted) in [("tenant", "default_tenent"), ("database", "suport")] {
        let mut options = ChromaOptions::default();
        match field {
            "tenant" => options.tenant = Some(wanted.to_owned()),
            _ => options.database = Some(wanted.to_owned()),
        }
        let error = refused(&fixture.db, &options);
        assert_eq!(error.kind(), ImportErrorKind::NotFound);
        assert!(
            error
                .to_string()
                .contains(&format!("no {field} `{wanted}`")),
            "{error}"
        );
        assert!(error.to_string().contains("did you mean"), "{error}");
    }
}

#[test]
fn what_is_no_chroma_directory_says_what_it_is() {
    let place = tempfile::tempdir().unwrap();
    let at = |path: &Path| {
        let error = refused(path, &ChromaOptions::default());
        (error.kind(), error.to_string())
    };
    let (kind, message) = at(&place.path().join("missing"));
    assert_eq!(kind, ImportErrorKind::NotFound, "{message}");
    let (kind, message) = at(place.path());
    assert_eq!(kind, ImportErrorKind::NotFound);
    assert!(message.contains("no chroma.sqlite3 in"), "{message}");
    // The layout before 0.4.
    fs::write(place.path().join("chroma-embeddings.parquet"), b"PAR1").unwrap();
    let (kind, message) = at(place.path());
    assert_eq!(kind, ImportErrorKind::Unsupported);
    assert!(
        message.contains("before 0.4") && message.contains("chroma-migrate"),
        "{message}"
    );
    // A file, and a database that is none.
    let (kind, message) = at(&place.path().join("chroma-embeddings.parquet"));
    assert_eq!(kind, ImportErrorKind::Unsupported);
    assert!(message.contains("not a directory"), "{message}");
    for bytes in [&b""[..], b"SQLite format 2\0", b"no database at all"] {
        fs::write(place.path().join("chroma.sqlite3"), bytes).unwrap();
        let (kind, message) = at(place.path());
        assert_eq!(kind, ImportErrorKind::Damaged);
        assert!(message.contains("not a SQLite database"), "{message}");
    }
    // A database of something else.
    fs::remove_file(place.path().join("chroma.sqlite3")).unwrap();
    let other = rusqlite::Connection::open(place.path().join("chroma.sqlite3")).unwrap();
    other
        .execute_batch("CREATE TABLE collections (id)")
        .unwrap();
    drop(other);
    let (kind, message) = at(place.path());
    assert_eq!(kind, ImportErrorKind::Unsupported);
    assert!(message.contains("no table segments"), "{message}");
}

#[test]
fn the_database_file_and_the_directory_above_lead_to_the_store() {
    let fixture = Fixture::of("1.0.21");
    let file = fixture.db.join("chroma.sqlite3");
    assert_eq!(open(&file, &options(&["readded"])).unwrap().len(), 1);
    let error = refused(fixture.db.parent().unwrap(), &ChromaOptions::default());
    assert_eq!(error.kind(), ImportErrorKind::NotFound);
    let hint = format!("there is one in {}", fixture.db.display());
    assert!(error.to_string().contains(&hint), "{error}");
}

#[test]
fn a_reader_that_is_dropped_early_stops() {
    let fixture = Fixture::of("1.0.21");
    let source = only(&fixture.db, "kb_large");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        use futures_util::StreamExt as _;
        let mut stream = source.read();
        assert!(stream.next().await.unwrap().is_ok());
        drop(stream);
    });
    // Shutting down waits for the thread: it must have noticed.
    drop(runtime);
    assert_eq!(once(&*source).records.len(), 1077);
}
