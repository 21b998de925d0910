//! FAISS indexes that the real library wrote, alone and with what is kept beside them.

mod damage;
mod metadata;
mod shapes;

use std::fs;
use std::path::{Path, PathBuf};

use importers::faiss::{FaissOptions, open};
use serde_json::Value as Json;
use storage_core::{ImportErrorKind, ImportSource, ImportedRecord, MetadataValue, Metric};

use crate::harness::{bytes_of, read};

pub(crate) fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures/legacy/faiss")
        .join(name)
}

pub(crate) fn lossy() -> FaissOptions {
    FaissOptions {
        allow_lossy: true,
        ..FaissOptions::default()
    }
}

fn salvage() -> FaissOptions {
    FaissOptions {
        salvage: true,
        ..lossy()
    }
}

fn source(name: &str) -> Box<dyn ImportSource> {
    open(&case(name), None, &lossy()).unwrap()
}

struct Expected {
    id: String,
    position: i64,
    embedding: Vec<f32>,
    document: Option<String>,
    metadata: Option<Json>,
}

fn expected(name: &str) -> Vec<Expected> {
    let text = fs::read_to_string(case(name).join("expected.jsonl")).unwrap();
    text.lines()
        .map(|line| {
            let json: Json = serde_json::from_str(line).unwrap();
            Expected {
                id: json["id"].as_str().unwrap().to_owned(),
                position: json["position"].as_i64().unwrap(),
                embedding: serde_json::from_value(json["embedding"].clone()).unwrap(),
                document: json["document"].as_str().map(str::to_owned),
                metadata: json.get("metadata").cloned(),
            }
        })
        .collect()
}

fn facts(name: &str) -> Json {
    let text = fs::read_to_string(case(name).join("case.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The id that the library's users know: of chunks, with the chunk.
fn id(record: &ImportedRecord, kind: &str) -> String {
    match kind {
        "hybrid" => format!("{}:{}", record.document, record.chunk),
        _ => record.document.clone(),
    }
}

/// Every case: what is expected, in a tolerance of the norm; 0 is bit for bit.
fn check(name: &str, tolerance: f32) {
    let before = bytes_of(&case(name));
    let source = source(name);
    let (collection, facts) = (source.collection(), facts(name));
    let dimensions = collection.dimensions.unwrap().get();
    assert_eq!(u64::from(dimensions), facts["dim"].as_u64().unwrap());
    let metric = match facts["metric"].as_str().unwrap() {
        "inner_product" => Metric::InnerProduct,
        _ => Metric::Euclidean,
    };
    assert_eq!(collection.metric, metric);
    assert_eq!(
        collection.lossy.is_none(),
        facts["lossless"].as_bool().unwrap()
    );
    assert_eq!(collection.name, name);
    let mut found = read(&*source);
    assert!(found.error.is_none(), "{:?}", found.error);
    let mut wanted = expected(name);
    assert_eq!(found.records.len(), wanted.len());
    if collection.kind == "faiss" {
        assert!(found.faults.is_empty(), "{:?}", found.faults);
        for record in &found.records {
            assert!(record.text.is_none() && record.metadata.is_empty());
        }
    }
    found
        .records
        .sort_by_key(|record| id(record, collection.kind));
    wanted.sort_by(|left, right| left.id.cmp(&right.id));
    for (record, wanted) in found.records.iter().zip(&wanted) {
        assert_eq!(id(record, collection.kind), wanted.id);
        let numbers = record.embedding.as_slice();
        let norm = wanted
            .embedding
            .iter()
            .map(|number| number * number)
            .sum::<f32>()
            .sqrt();
        assert_eq!(numbers.len(), wanted.embedding.len());
        for (number, wanted) in numbers.iter().zip(&wanted.embedding) {
            let close = (number - wanted).abs() <= tolerance * norm;
            assert!(close && (tolerance > 0.0 || number.to_bits() == wanted.to_bits()));
        }
        if collection.kind != "hybrid" && wanted.position >= 0 {
            let position = u64::try_from(wanted.position).unwrap();
            assert_eq!(record.locator.row, Some(position));
        }
        assert_eq!(record.text, wanted.document);
        if let Some(metadata) = &wanted.metadata {
            assert_eq!(record.metadata, plain(metadata, collection.kind));
        }
    }
    assert_eq!(before, bytes_of(&case(name)), "reading changed the source");
}

/// The metadata of a line as a store holds it: without null, and without what the record says elsewhere.
fn plain(json: &Json, kind: &str) -> std::collections::BTreeMap<String, MetadataValue> {
    let elsewhere = ["document_id", "chunk_index", "embedding_model"];
    json.as_object()
        .unwrap()
        .iter()
        .filter(|(key, _)| kind != "hybrid" || !elsewhere.contains(&key.as_str()))
        .filter_map(|(key, value)| {
            let held = match key.as_str() {
                // A list with an object in it.
                "k" => MetadataValue::String(r#"[1,{"a":"б"}]"#.to_owned()),
                _ => MetadataValue::from_json(value)?,
            };
            Some((key.clone(), held))
        })
        .collect()
}

#[test]
fn exact_indexes_are_read_bit_for_bit() {
    for name in [
        "flat_ip",
        "flat_l2",
        "hnsw_flat",
        "idmap2_flat",
        "idmap_flat",
        "idmap_hnsw",
        "ivf_flat",
        "ivf_flat_sparse",
    ] {
        check(name, 0.0);
        check(&format!("{name}_old"), 0.0);
    }
}

#[test]
fn quantised_indexes_are_read_as_the_library_reads_them() {
    check("sq_fp16", 0.0);
    check("pq", 0.0);
    for name in ["sq_4bit", "sq_6bit", "sq_8bit", "sq_8bit_uniform"] {
        check(name, 1e-6);
    }
    check("pretransform_norm", 1e-6);
}

#[test]
fn folders_of_langchain_are_read_with_documents_and_metadata() {
    check("langchain", 0.0);
    check("langchain_old", 0.0);
    check("langchain_norm", 1e-6);
    let source = source("langchain");
    let notes = &source.collection().notes;
    assert!(
        notes.iter().any(|note| note.contains("are None")),
        "{notes:?}"
    );
}

#[test]
fn an_index_beside_rows_is_read_with_its_texts() {
    check("hybrid_list", 0.0);
    check("hybrid_object", 0.0);
    check("hybrid_gaps", 0.0);
    for name in ["hybrid_list", "hybrid_object"] {
        let source = source(name);
        assert_eq!(
            source.collection().model.as_deref(),
            Some("all-MiniLM-L6-v2")
        );
        assert!(source.collection().notes.is_empty());
        assert!(read(&*source).faults.is_empty());
    }
}

/// Every fixture is in one of the tests above, or refused below.
#[test]
fn no_fixture_is_forgotten() {
    let known = [
        "flat",
        "hnsw",
        "idmap",
        "ivf_flat",
        "sq_",
        "pq",
        "pretransform",
        "langchain",
        "hybrid",
        "ivf_pq",
    ];
    for entry in fs::read_dir(case("")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(
            !path.is_dir() || known.iter().any(|known| name.starts_with(known)),
            "{name}"
        );
    }
}

#[test]
fn what_is_lost_is_said_before_anything_is_read() {
    for (name, what) in [
        ("sq_fp16", "QT_fp16"),
        ("sq_8bit", "QT_8bit"),
        ("pq", "product quantiser of 8 parts with 4 bits"),
        ("pretransform_norm", "the vectors' lengths"),
    ] {
        let error = open(&case(name), None, &FaissOptions::default()).unwrap_err();
        assert_eq!(error.kind(), ImportErrorKind::Lossy);
        let message = error.to_string();
        assert!(
            message.contains(what) && message.contains("--allow-lossy"),
            "{message}"
        );
        assert!(
            source(name)
                .collection()
                .lossy
                .as_ref()
                .unwrap()
                .contains(what)
        );
    }
}

#[test]
fn other_types_are_refused_by_name() {
    let error = open(&case("ivf_pq"), None, &lossy()).unwrap_err();
    assert_eq!(error.kind(), ImportErrorKind::Unsupported);
    let message = error.to_string();
    assert!(
        message.contains("`IwPQ`") && message.contains("reconstruct_n"),
        "{message}"
    );
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("other.faiss");
    for (bytes, expected) in [
        (&b"IBxF0000"[..], "`IBxF`"),
        (b"null", "without its vectors"),
        (b"SQLite format 3\0", "`SQLi`"),
        (b"\x93NUMPY", "no FAISS index"),
        (b"", "the file ends after 0"),
    ] {
        fs::write(&path, bytes).unwrap();
        let message = open(&path, None, &lossy()).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn the_files_that_are_meant_are_found() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let refused = |path: &Path| {
        let error = open(path, None, &lossy()).unwrap_err();
        assert_eq!(error.kind(), ImportErrorKind::NotFound);
        error.to_string()
    };
    assert!(refused(place.path()).contains("no index.faiss"));
    assert!(refused(&at("index.fais")).contains("no such file"));
    fs::copy(case("langchain/index.faiss"), at("faq.faiss")).unwrap();
    assert!(refused(&at("faq.fais")).contains("did you mean `faq.faiss`"));
    assert_eq!(
        open(place.path(), None, &lossy())
            .unwrap()
            .collection()
            .kind,
        "faiss"
    );
    fs::copy(case("langchain/index.pkl"), at("faq.pkl")).unwrap();
    let found = open(&at("faq.faiss"), None, &lossy()).unwrap();
    assert_eq!(
        (found.collection().kind, found.collection().name.as_str()),
        ("langchain", "faq")
    );
    fs::copy(case("hybrid_list/metadata.json"), at("metadata.json")).unwrap();
    let message = refused(place.path());
    assert!(
        message.contains("faq.pkl and metadata.json") && message.contains("--metadata"),
        "{message}"
    );
    let named = open(place.path(), Some(&at("metadata.json")), &lossy()).unwrap();
    assert_eq!(named.collection().kind, "hybrid");
    let named = open(place.path(), Some(&at("faq.pkl")), &lossy()).unwrap();
    assert_eq!(named.collection().kind, "langchain");
    let error = open(place.path(), Some(&at("faq.faiss")), &lossy()).unwrap_err();
    assert_eq!(error.kind(), ImportErrorKind::Unsupported);
    fs::copy(at("faq.faiss"), at("other.faiss")).unwrap();
    assert!(refused(place.path()).contains("2 indexes in the directory"));
}

#[test]
fn an_index_that_changes_ends_the_reading() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("index.faiss");
    fs::copy(case("flat_l2/index.faiss"), &path).unwrap();
    let source = open(&path, None, &lossy()).unwrap();
    fs::write(&path, b"IxF2").unwrap();
    let found = crate::harness::once(&*source);
    assert_eq!(found.error.unwrap().kind(), ImportErrorKind::Changing);
}

#[test]
fn an_id_that_stands_twice_is_imported_once() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("index.faiss");
    let mut bytes = fs::read(case("idmap2_flat/index.faiss")).unwrap();
    let length = bytes.len();
    bytes.copy_within(length - 16..length - 8, length - 8);
    fs::write(&path, bytes).unwrap();
    let found = read(&*open(&path, None, &lossy()).unwrap());
    assert_eq!((found.records.len(), found.faults.len()), (59, 1));
    assert_eq!(found.faults[0].row, Some(59));
    assert_eq!(found.faults[0].reason, "an earlier vector has the same id");
}
