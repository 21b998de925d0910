//! Opening by path: what the file system can get wrong, and the sets of data the project is measured on.

use std::fs;
use std::path::Path;

use faq_source::{FaqSource, Identity, SourceErrorKind, SourceLimits, SourceOptions, open};

fn failure(path: &Path) -> (SourceErrorKind, String) {
    let error = open(path, &SourceOptions::default()).expect_err("no such source");
    (error.kind(), error.to_string())
}

#[test]
fn a_path_that_cannot_be_opened_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("faq.jsonl");
    fs::write(&path, "{\"question\": \"q\"}\n").unwrap();
    fs::write(directory.path().join("empty.jsonl"), "").unwrap();

    let (kind, message) = failure(&directory.path().join("fqa.jsonl"));
    assert_eq!(kind, SourceErrorKind::Unreadable);
    assert!(
        message.ends_with("; did you mean \"faq.jsonl\""),
        "{message}"
    );
    let (_, message) = failure(&directory.path().join("вопросы.xlsx"));
    assert!(
        message.ends_with("; tables there: \"empty.jsonl\", \"faq.jsonl\""),
        "{message}"
    );
    let (_, message) = failure(&directory.path().join("none/faq.xlsx"));
    assert!(message.contains("there is no directory"), "{message}");
    let (kind, message) = failure(directory.path());
    assert_eq!(kind, SourceErrorKind::Unreadable);
    assert!(message.contains("is a directory"), "{message}");
    assert_eq!(
        failure(&directory.path().join("empty.jsonl")).0,
        SourceErrorKind::Empty
    );
    let (_, message) = failure(Path::new("no-such-file.jsonl"));
    let here = std::env::current_dir().unwrap();
    assert!(message.contains(&here.display().to_string()), "{message}");

    let mut source = open(&path, &SourceOptions::default()).unwrap();
    assert_eq!(source.describe(), format!("records {}", path.display()));
    let snapshot = source.read(&SourceLimits::default()).unwrap();
    assert_eq!(snapshot.name, "faq.jsonl");
    assert_eq!(snapshot.location, path.display().to_string());
    let small = SourceLimits {
        file_bytes: 5,
        ..SourceLimits::default()
    };
    assert_eq!(
        source.read(&small).unwrap_err().kind(),
        SourceErrorKind::Limit
    );
}

/// The sets lie beside the workspace on the machines that have them.
#[test]
fn the_measured_sets_are_read_whole() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    for (file, entries, rows) in [
        ("bank-faq-ru/faq.jsonl", 40, 40),
        ("banking77/faq.jsonl", 77, 385),
        ("hint3-sofmattress/faq.jsonl", 21, 328),
        ("debian-faq/faq_ru.jsonl", 108, 108),
        ("xquad/faq_es.jsonl", 120, 120),
    ] {
        let path = root.join(file);
        if !path.exists() {
            eprintln!("SKIPPED: {} is not here", path.display());
            continue;
        }
        let snapshot = read(&path);
        assert_eq!(snapshot.identity, Identity::Given, "{file}");
        assert_eq!(snapshot.rows.len(), rows, "{file}");
        assert_eq!(
            snapshot.rows.iter().filter(|row| row.chunk == 0).count(),
            entries,
            "{file}"
        );
        assert_eq!(
            snapshot.rejected().count(),
            0,
            "{file}: {:?}",
            snapshot.issues
        );
        assert!(
            snapshot
                .rows
                .iter()
                .all(|row| !row.answer.starts_with('\u{feff}'))
        );
    }
}

fn read(path: &Path) -> faq_source::SourceSnapshot {
    let source: Result<Box<dyn FaqSource>, _> = open(path, &SourceOptions::default());
    let mut source = source.expect("the set can be opened");
    source
        .read(&SourceLimits::default())
        .expect("the set can be read")
}
