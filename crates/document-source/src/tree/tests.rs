use std::fs;
use std::sync::Arc;

use faq_source::{FaqSource, Identity, SourceLimits};

use super::Documents;
use crate::{DocumentLimits, DocumentOptions, InProcess};

fn read(
    path: &std::path::Path,
    limits: DocumentLimits,
) -> Result<faq_source::SourceSnapshot, faq_source::SourceError> {
    let options = DocumentOptions {
        limits,
        ..DocumentOptions::default()
    };
    Documents::open(path, options, Arc::new(InProcess))?.read(&SourceLimits::default())
}

fn ids(snapshot: &faq_source::SourceSnapshot) -> Vec<&str> {
    snapshot
        .rows
        .iter()
        .filter_map(|row| row.id.as_deref())
        .collect()
}

fn place() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("b/second.txt", "Второй документ."),
        ("a.txt", "Первый."),
        ("b/c/third.text", "Третий."),
        (".hidden/no.txt", "нет"),
        ("b/.no.txt", "нет"),
        ("table.csv", "question,answer\na,b\n"),
        ("empty.txt", "  \n"),
    ] {
        let path = place.path().join("docs").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    place
}

#[test]
fn a_directory_is_read_in_order_and_says_what_it_leaves_out() {
    let place = place();
    let snapshot = read(&place.path().join("docs"), DocumentLimits::default()).unwrap();
    assert_eq!(ids(&snapshot), ["a.txt", "b/c/third.text", "b/second.txt"]);
    assert_eq!(snapshot.identity, Identity::Given);
    assert_eq!(snapshot.name, "docs");
    let issue = &snapshot.issues[0];
    assert_eq!(
        issue.id.as_deref(),
        Some("empty.txt"),
        "its stored rows must stay"
    );
    assert!(issue.kind.rejects());
    let notices = snapshot.notices.join("\n");
    assert!(notices.contains("2 names left out: hidden"), "{notices}");
    assert!(
        notices.contains("1 file left out: no documents (.csv 1)"),
        "{notices}"
    );
}

#[test]
fn a_pattern_takes_what_it_matches() {
    let place = place();
    let check = |pattern: &str, expected: &[&str]| {
        let snapshot = read(&place.path().join(pattern), DocumentLimits::default()).unwrap();
        assert_eq!(ids(&snapshot), expected, "{pattern}");
    };
    check("docs/a*.txt", &["a.txt"]);
    check("docs/**/*.text", &["b/c/third.text"]);
    check("docs/b/*", &["second.txt"]);
    check("docs/{a,b/second}.txt", &["a.txt", "b/second.txt"]);
    let nothing = read(&place.path().join("docs/*.md"), DocumentLimits::default());
    assert!(
        nothing
            .unwrap_err()
            .to_string()
            .contains("no documents there")
    );
}

#[cfg(unix)]
#[test]
fn a_link_out_of_the_directory_is_not_followed_and_a_circle_ends() {
    let place = place();
    let docs = place.path().join("docs");
    fs::write(place.path().join("secret.txt"), "секрет").unwrap();
    let link = |target: &str, name: &str| {
        std::os::unix::fs::symlink(place.path().join(target), docs.join(name)).unwrap();
    };
    link("secret.txt", "out.txt");
    link("docs/a.txt", "inside.txt");
    link("docs", "circle");
    link("nowhere", "dangling");
    let snapshot = read(&docs, DocumentLimits::default()).unwrap();
    assert_eq!(
        ids(&snapshot),
        ["a.txt", "b/c/third.text", "b/second.txt", "inside.txt"]
    );
    let notices = snapshot.notices.join("\n");
    assert!(notices.contains("3 links left out"), "{notices}");
}

#[test]
fn every_limit_is_named_with_its_value() {
    let place = place();
    let docs = place.path().join("docs");
    let usual = DocumentLimits::default();
    let refusal = |limits| read(&docs, limits).unwrap_err().to_string();
    let text = refusal(DocumentLimits {
        documents: 2,
        ..usual
    });
    assert!(text.contains("more than 2 documents"), "{text}");
    let text = refusal(DocumentLimits {
        entries: 3,
        ..usual
    });
    assert!(text.contains("more than 3 files"), "{text}");
    let text = refusal(DocumentLimits {
        all_text_bytes: 20,
        ..usual
    });
    assert!(text.contains("more than 20 B of text"), "{text}");
    let snapshot = read(
        &docs,
        DocumentLimits {
            file_bytes: 13,
            ..usual
        },
    )
    .unwrap();
    let problems = snapshot
        .issues
        .iter()
        .map(|issue| &*issue.problem)
        .collect::<Vec<_>>();
    assert!(
        problems
            .iter()
            .any(|problem| problem.contains("larger than 13 B")),
        "{problems:?}"
    );
}

#[cfg(unix)]
#[test]
fn a_link_that_cannot_be_followed_now_is_a_document_that_cannot_be_read() {
    let place = place();
    let docs = place.path().join("docs");
    let link = |target: &str, name: &str| {
        std::os::unix::fs::symlink(target, docs.join(name)).unwrap();
    };
    link("not-mounted/now.txt", "b/now.txt");
    link("loop.md", "loop.md");
    link("not-mounted/table.csv", "other.csv");
    let snapshot = read(&docs, DocumentLimits::default()).unwrap();
    let issues = snapshot
        .issues
        .iter()
        .filter(|issue| issue.problem.contains("cannot be followed"))
        .filter_map(|issue| issue.id.as_deref())
        .collect::<std::collections::BTreeSet<_>>();
    assert_eq!(
        issues,
        ["b/now.txt", "loop.md"].into(),
        "their stored rows must stay"
    );
    let pattern = read(&docs.join("*.txt"), DocumentLimits::default()).unwrap();
    assert!(
        pattern
            .issues
            .iter()
            .all(|issue| !issue.problem.contains("followed")),
        "it speaks of none of them"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_name_that_steers_the_terminal_is_no_id() {
    use std::os::unix::ffi::OsStrExt;
    let place = place();
    let docs = place.path().join("docs");
    for name in [
        &b"\x1b[31mred.txt"[..],
        b"two\nlines.txt",
        b"\xff.txt",
        b"\xff.csv",
    ] {
        fs::write(docs.join(std::ffi::OsStr::from_bytes(name)), "Текст.").unwrap();
    }
    let snapshot = read(&docs, DocumentLimits::default()).unwrap();
    assert_eq!(ids(&snapshot), ["a.txt", "b/c/third.text", "b/second.txt"]);
    let named = snapshot
        .issues
        .iter()
        .filter(|issue| issue.problem.contains("rename the file"))
        .collect::<Vec<_>>();
    assert_eq!(
        named.len(),
        3,
        "a table is left out whatever it is called: {named:?}"
    );
    for issue in named {
        assert!(!issue.problem.contains(char::is_control), "{issue:?}");
        assert!(
            !issue
                .id
                .as_deref()
                .unwrap_or_default()
                .contains(char::is_control),
            "{issue:?}"
        );
    }
    let notices = snapshot.notices.join("\n");
    assert!(notices.contains(".csv 2"), "{notices}");
}

#[cfg(unix)]
#[test]
fn what_took_the_place_of_a_file_since_it_was_found_is_not_read() {
    let place = place();
    let most = DocumentLimits::default().file_bytes;
    let docs = place.path().join("docs");
    let file = docs.join("a.txt");
    assert!(super::load(&file, true, most).is_ok());
    let link = docs.join("link.txt");
    std::os::unix::fs::symlink(&file, &link).unwrap();
    assert!(super::load(&link, true, most).is_err());
    assert!(
        super::load(&link, false, most).is_ok(),
        "a link that was named is followed"
    );
    let pipe = docs.join("pipe.txt");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    assert!(
        super::load(&pipe, true, most).is_err(),
        "nobody writes into it, and nobody waits for that"
    );
}
