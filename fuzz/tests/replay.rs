//! Every input that is kept, through the very function that the fuzz target calls: one test per target.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    clippy::print_stdout,
    reason = "the input that ends a test is named before it is run"
)]

use std::sync::Once;

use fuzz::{Target, inputs};

static WATCHED: Once = Once::new();

fn replay(name: &str) {
    let target = Target::ALL.iter().find(|target| target.name == name);
    let target = target.expect("the target is in the table");
    let kept = ["corpus", "regressions"].map(|kind| inputs(kind, name).unwrap());
    assert!(!kept[0].is_empty(), "fuzz/corpus/{name} is empty");
    WATCHED.call_once(fuzz::watch_panics);
    for (path, bytes) in kept.concat() {
        // Shown by the test runner when the input ends the test, and only then.
        println!("{}", path.display());
        (target.run)(&bytes);
        assert_eq!(fuzz::own_panics(), 0, "a panic of ours was contained");
    }
}

#[test]
fn xlsx() {
    replay("xlsx");
}

#[test]
fn csv() {
    replay("csv");
}

#[test]
fn jsonl() {
    replay("jsonl");
}

#[test]
fn settings() {
    replay("settings");
}

#[test]
fn sqlite_open() {
    replay("sqlite_open");
}

#[test]
fn hnsw() {
    replay("hnsw");
}

#[test]
fn faiss() {
    replay("faiss");
}

#[test]
fn pickle() {
    replay("pickle");
}

#[test]
fn metadata() {
    replay("metadata");
}

#[test]
fn pdf() {
    replay("pdf");
}

#[test]
fn docx() {
    replay("docx");
}

#[test]
fn html() {
    replay("html");
}

#[test]
fn markdown() {
    replay("markdown");
}

#[test]
fn npy() {
    replay("npy");
}

/// A directory of inputs that no target replays would be forgotten.
#[test]
fn every_directory_of_inputs_belongs_to_a_target() {
    for kind in ["corpus", "regressions"] {
        let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(kind);
        let Ok(entries) = std::fs::read_dir(&directory) else {
            continue;
        };
        for entry in entries {
            let name = entry.unwrap().file_name();
            assert!(
                Target::ALL.iter().any(|target| name == target.name),
                "fuzz/{kind}/{name:?} belongs to no target"
            );
        }
    }
}

/// Mutations of what is refused at the door test the door only. A store's schema moves on: fuzz/README.md says how to
/// make the seeds anew.
#[test]
fn the_seeds_are_understood() {
    for name in ["xlsx", "csv", "jsonl"] {
        for (path, bytes) in inputs("corpus", name).unwrap() {
            let file = format!("faq.{name}");
            let read = faq_source::open_bytes(&file, bytes, &faq_source::SourceOptions::default())
                .and_then(|mut source| source.read(&faq_source::SourceLimits::default()));
            // The one with an open quote cannot be read to its end.
            assert!(
                read.is_ok() || path.ends_with("mixed.csv"),
                "{}: {read:?}",
                path.display()
            );
        }
    }
    let place = tempfile::tempdir().unwrap();
    for (path, bytes) in inputs("corpus", "sqlite_open").unwrap() {
        let copy = place.path().join(path.file_name().unwrap());
        std::fs::write(&copy, bytes).unwrap();
        let options = storage_sqlite::SqliteOptions::file(&copy);
        let status = storage_sqlite::schema_status(&options).unwrap();
        assert!(
            status.pending.is_empty(),
            "{} is of an older schema: make it anew, as fuzz/README.md says",
            path.display()
        );
        let store = storage_sqlite::open_read_only(&options);
        assert!(store.is_ok(), "{}: {store:?}", path.display());
    }
}
