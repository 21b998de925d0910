//! An index and its metadata that do not agree.

use std::fs;
use std::path::{Path, PathBuf};

use importers::faiss::{FaissOptions, open};
use storage_core::{ImportError, ImportErrorKind, ImportFault, ImportSource};

use tempfile::TempDir;

use super::{case, lossy};
use crate::harness::{Yield, read};

fn with_rows(place: &Path, rows: &str) -> PathBuf {
    fs::copy(case("flat_l2_old/index.faiss"), place.join("index.faiss")).unwrap();
    fs::write(place.join("metadata.json"), rows).unwrap();
    place.join("index.faiss")
}

fn opened(
    place: &TempDir,
    rows: &str,
    model: Option<&str>,
) -> Result<Box<dyn ImportSource>, ImportError> {
    let index = with_rows(place.path(), rows);
    let options = FaissOptions {
        model: model.map(str::to_owned),
        ..lossy()
    };
    open(&index, None, &options)
}

fn reasons(found: &Yield) -> Vec<(&str, u64, &str)> {
    found
        .faults
        .iter()
        .map(|ImportFault { id, row, reason }| {
            (id.as_deref().unwrap_or("-"), row.unwrap(), reason.as_str())
        })
        .collect()
}

#[test]
fn gaps_are_reported_one_by_one() {
    let source = open(&case("hybrid_gaps"), None, &lossy()).unwrap();
    let found = read(&*source);
    let without_row = found
        .faults
        .iter()
        .filter(|fault| fault.id.is_none())
        .map(|fault| fault.row.unwrap())
        .collect::<Vec<_>>();
    assert_eq!(without_row, [4, 13, 22]);
    let dangling = found
        .faults
        .iter()
        .find(|fault| fault.id.is_some())
        .unwrap();
    assert_eq!(dangling.id.as_deref(), Some("99:0"));
    assert_eq!(dangling.reason, "the index has no vector 33");
    assert_eq!(found.faults.len(), 4);
    let notes = &source.collection().notes;
    assert_eq!(notes.len(), 1);
    assert!(notes[0].starts_with(
        "1 vectors have more than one row, and all of those are imported: vector 2 has the rows"
    ));
    let shared = found
        .records
        .iter()
        .filter(|record| record.metadata["faiss_index"].to_string() == "2");
    assert_eq!(shared.map(|record| record.chunk).max(), Some(77));
}

#[test]
fn models_that_differ_are_refused_unless_one_is_meant() {
    let place = tempfile::tempdir().unwrap();
    let rows = r#"[{"document_id":1,"text":"a","faiss_index":0,"embedding_model":"new"},
                   {"document_id":2,"text":"b","faiss_index":1,"embedding_model":"old"},
                   {"document_id":3,"text":"c","faiss_index":2}]"#;
    for model in [None, Some("other")] {
        let error = opened(&place, rows, model).unwrap_err();
        assert_eq!(error.kind(), ImportErrorKind::Unsupported);
        let message = error.to_string();
        assert!(
            message.contains("2 embedding models (new, old)") && message.contains("--model"),
            "{message}"
        );
    }
    let source = opened(&place, rows, Some("new")).unwrap();
    assert_eq!(source.collection().model.as_deref(), Some("new"));
    let found = read(&*source);
    let ids = found
        .records
        .iter()
        .map(|record| record.document.as_str())
        .collect::<Vec<_>>();
    assert_eq!(ids, ["1", "3"]);
    assert!(reasons(&found).contains(&("2:0", 2, "its vector is of old, and new is meant")));
}

#[test]
fn faulty_rows_are_reported_once() {
    let place = tempfile::tempdir().unwrap();
    let rows = r#"[{"document_id":1,"text":"a","faiss_index":0},
                   {"document_id":2,"text":7,"faiss_index":1},
                   {"document_id":3,"text":"c","faiss_index":2},
                   {"document_id":3,"text":"d","faiss_index":3},
                   {"document_id":"\u0000","text":"e","faiss_index":4},
                   "row"]"#;
    let source = opened(&place, rows, None).unwrap();
    assert_eq!(source.collection().model, None);
    assert_eq!(source.collection().total, 35 + 6);
    let found = read(&*source);
    assert_eq!(found.records.len(), 1);
    let of_rows = reasons(&found)
        .into_iter()
        .filter(|(_, _, reason)| !reason.contains("has no row"))
        .collect::<Vec<_>>();
    let expected = [
        ("\0:0", 5, "the id holds a NUL character"),
        ("2:0", 2, "`text` is no text"),
        ("3:0", 3, "row 4 is of the same chunk of the same document"),
        ("3:0", 4, "row 3 is of the same chunk of the same document"),
        ("-", 6, "the row is no object"),
    ];
    assert_eq!(of_rows, expected);
}

#[test]
fn metadata_of_another_index_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let error = opened(&place, r#"{"dimension":384,"chunks":[]}"#, None).unwrap_err();
    assert_eq!(error.kind(), ImportErrorKind::Damaged);
    assert!(
        error
            .to_string()
            .contains("384 numbers are meant, and those of the index have 12")
    );
    let source = opened(&place, r#"{"metric":"inner_product","chunks":[]}"#, None).unwrap();
    assert!(source.collection().notes[0].contains("compares by l2"));
    assert_eq!(
        opened(&place, "[", None).unwrap_err().kind(),
        ImportErrorKind::Damaged
    );
    assert_eq!(
        opened(&place, "7", None).unwrap_err().kind(),
        ImportErrorKind::Unsupported
    );
}

/// A pickle of another folder: positions and documents that do not meet.
#[test]
fn an_index_and_a_map_that_disagree_are_reported_by_record() {
    let place = tempfile::tempdir().unwrap();
    let index = place.path().join("index.faiss");
    // 23 documents; the one index has 19 vectors, the other 40.
    fs::copy(case("langchain/index.pkl"), place.path().join("index.pkl")).unwrap();
    fs::copy(case("langchain_old/index.faiss"), &index).unwrap();
    let source = open(&index, None, &lossy()).unwrap();
    assert_eq!(source.collection().total, 23);
    let found = read(&*source);
    assert_eq!((found.records.len(), found.faults.len()), (19, 4));
    for fault in &found.faults {
        assert!(fault.id.is_some());
        assert_eq!(fault.reason, "the index ends before this position");
    }
    fs::copy(case("flat_l2_old/index.faiss"), &index).unwrap();
    let found = read(&*open(&index, None, &lossy()).unwrap());
    assert_eq!((found.records.len(), found.faults.len()), (23, 17));
    assert!(
        found.faults[0]
            .reason
            .contains("has no id for this position")
    );
}
