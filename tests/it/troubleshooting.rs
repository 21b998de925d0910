//! The troubleshooting page quotes the product: every message on it is still one that the product has, and every check
//! of `doctor` is on it.

use std::collections::BTreeSet;
use std::path::Path;

use integration_tests::{Place, workspace};

/// Words in a row that must be found together; shorter rows prove nothing.
const ROW: usize = 3;

fn page() -> String {
    std::fs::read_to_string(workspace().join("docs/operations/troubleshooting.md")).unwrap()
}

/// Every source text of the product, as one line of words.
fn sources() -> String {
    fn read(directory: &Path, found: &mut String) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                read(&path, found);
            } else if path.extension().is_some_and(|end| end == "rs") {
                found.push_str(&std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut found = String::new();
    for member in std::fs::read_dir(workspace().join("crates")).unwrap() {
        read(&member.unwrap().path().join("src"), &mut found);
    }
    // A long text goes on after a backslash and an indent.
    let joined: Vec<&str> = found.split("\\\n").map(str::trim_start).collect();
    let words: Vec<String> = joined
        .concat()
        .replace("\\\"", "\"")
        .split_whitespace()
        // Where a run puts a path, a name or a number.
        .filter(|word| !word.contains('{'))
        .map(plain)
        .filter(|word| !word.is_empty())
        .collect();
    words.join(" ")
}

/// A word without what may stand around it in a text and not in its source.
fn plain(word: &str) -> String {
    word.trim_matches(|char: char| !char.is_alphanumeric())
        .to_owned()
}

/// How many of these words stand in rows that the sources have too.
fn known(words: &[String], sources: &str) -> usize {
    let mut at = 0;
    let mut known = 0;
    while at < words.len() {
        let longest = (at + ROW..=words.len())
            .take_while(|end| sources.contains(&words[at..*end].join(" ")))
            .last();
        match longest {
            Some(end) => {
                known += end - at;
                at = end;
            }
            None => at += 1,
        }
    }
    known
}

#[test]
fn every_quoted_message_is_one_the_product_has() {
    let (page, sources) = (page(), sources());
    let mut quoted = 0;
    for block in page.split("```text\n").skip(1) {
        for line in block.split("```").next().unwrap().lines() {
            let words: Vec<String> = line
                .split_whitespace()
                .map(plain)
                // Paths and numbers are a run's own.
                .filter(|word| {
                    !word.is_empty() && !word.contains(|c: char| c == '/' || c.is_ascii_digit())
                })
                .collect();
            let known = known(&words, &sources);
            // So are names, and what the system adds; most of a message is not.
            assert!(
                2 * known >= words.len(),
                "{known} of {} words are the product's: {line}",
                words.len()
            );
            quoted += 1;
        }
    }
    assert!(quoted > 20, "{quoted} lines are quoted");
}

#[test]
fn every_check_of_doctor_is_explained() {
    let place = Place::hash();
    let report = place.run(&["doctor", "--json"]).expect(4).json();
    let named: BTreeSet<&str> = report["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|check| check["name"].as_str().unwrap())
        .collect();
    let page = page();
    let explained: BTreeSet<&str> = page
        .lines()
        .filter(|line| line.starts_with('#'))
        .filter_map(|line| line.split_once(" · "))
        .flat_map(|(_, checks)| checks.split(", "))
        .map(|check| check.trim_matches('`'))
        .collect();
    // What no seed had trouble with and this build cannot have: it brings its own SQLite.
    let mut expected = named;
    expected.remove("sqlite_version");
    assert_eq!(explained, expected);
}
