//! Owns the rule on migrations: they may be added, never edited, renumbered or removed. `CHECKSUMS` beside them, with
//! lines `NAME SHA256`, says what each was when it was recorded.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

use super::{Files, Finding};

const CHECKSUMS: &str = "CHECKSUMS";

/// One backend's folder of migrations.
#[derive(Debug, Default)]
struct Folder<'f> {
    /// Recorded checksums, if there is such a file.
    recorded: Option<&'f str>,
    /// Contents by name.
    files: BTreeMap<&'f str, &'f [u8]>,
}

/// Compares every migration with its checksum, and their numbers with 1, 2, 3 and on.
pub(super) fn check(files: &Files) -> Vec<Finding> {
    folders(files)
        .iter()
        .flat_map(|(path, folder)| check_folder(path, folder))
        .collect()
}

/// New contents for each `CHECKSUMS` that lacks a line. What was recorded before stays as it is.
pub(super) fn blessed(files: &Files) -> Vec<(String, String)> {
    let mut written = Vec::new();
    for (path, folder) in folders(files) {
        let old = folder.recorded.unwrap_or_default();
        let known: BTreeSet<&str> = lines(old).map(|(_, name, _)| name).collect();
        let new: Vec<String> = folder
            .files
            .iter()
            .filter(|(name, _)| !known.contains(*name))
            .map(|(name, bytes)| format!("{name} {}\n", checksum(bytes)))
            .collect();
        if !new.is_empty() {
            let break_line = if old.is_empty() || old.ends_with('\n') {
                ""
            } else {
                "\n"
            };
            written.push((
                format!("{path}/{CHECKSUMS}"),
                format!("{old}{break_line}{}", new.concat()),
            ));
        }
    }
    written
}

/// The number in front of a migration's name.
pub(crate) fn number(name: &str) -> Option<u32> {
    let (digits, rest) = name.split_once('_')?;
    let sound = digits.len() == 4
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && rest.ends_with(".sql");
    if sound { digits.parse().ok() } else { None }
}

fn folders(files: &Files) -> BTreeMap<&str, Folder<'_>> {
    let mut folders: BTreeMap<&str, Folder<'_>> = BTreeMap::new();
    for (path, bytes) in files {
        let Some((folder, name)) = path.rsplit_once('/') else {
            continue;
        };
        if !(folder.starts_with("crates/")
            && folder.ends_with("/migrations")
            && folder.split('/').count() == 3)
        {
            continue;
        }
        if name == CHECKSUMS {
            folders.entry(folder).or_default().recorded = str::from_utf8(bytes).ok();
        } else if name.ends_with(".sql") {
            folders.entry(folder).or_default().files.insert(name, bytes);
        }
    }
    folders
}

fn check_folder(path: &str, folder: &Folder<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let checksums = format!("{path}/{CHECKSUMS}");
    let mut seen = BTreeSet::new();
    for (line, name, sum) in lines(folder.recorded.unwrap_or_default()) {
        if !seen.insert(name) {
            findings.push(Finding::new(
                &checksums,
                line,
                format!("{name} is recorded twice"),
            ));
        }
        match folder.files.get(name) {
            None => findings.push(Finding::new(
                &checksums,
                line,
                format!("{name} was recorded and is gone: migrations stay"),
            )),
            Some(bytes) if checksum(bytes) != sum => findings.push(Finding::new(
                format!("{path}/{name}"),
                1,
                "was edited after it was recorded: undo that and add a new migration \
                 (if nobody can have run it yet, delete its line in CHECKSUMS and record it again)",
            )),
            Some(_) => {}
        }
    }
    for (at, name) in folder.files.keys().enumerate() {
        let file = format!("{path}/{name}");
        if !seen.contains(name) {
            findings.push(Finding::new(
                &file,
                1,
                "has no checksum yet: when it is final, `cargo xtask tidy --bless`",
            ));
        }
        if number(name).and_then(|number| usize::try_from(number).ok()) != Some(at + 1) {
            findings.push(Finding::new(
                &file,
                1,
                format!(
                    "must be named {:04}_verb_noun.sql: numbers follow each other",
                    at + 1
                ),
            ));
        }
    }
    findings
}

/// Line number, name and checksum of each line that has both.
fn lines(recorded: &str) -> impl Iterator<Item = (usize, &str, &str)> {
    recorded.lines().enumerate().filter_map(|(at, line)| {
        let (name, sum) = line.split_once(' ')?;
        Some((at + 1, name, sum.trim()))
    })
}

fn checksum(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOLDER: &str = "crates/storage-x/migrations";

    fn files(of: &[(&str, &str)]) -> Files {
        of.iter()
            .map(|(name, text)| (format!("{FOLDER}/{name}"), text.as_bytes().to_vec()))
            .collect()
    }

    fn found(files: &Files) -> String {
        check(files)
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// Records everything.
    fn bless(mut files: Files) -> Files {
        for (path, text) in blessed(&files) {
            files.insert(path, text.into_bytes());
        }
        files
    }

    #[test]
    fn a_checksum_is_the_usual_sha256() {
        assert_eq!(
            checksum(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn new_ones_are_recorded_and_then_stay() {
        let fresh = files(&[
            ("0001_create_tables.sql", "a"),
            ("0002_add_column.sql", "b"),
        ]);
        assert_eq!(found(&fresh).matches("no checksum yet").count(), 2);
        let recorded = bless(fresh);
        assert_eq!(found(&recorded), "");
        assert!(blessed(&recorded).is_empty());

        let mut edited = recorded.clone();
        edited.insert(format!("{FOLDER}/0001_create_tables.sql"), b"A".to_vec());
        assert!(found(&bless(edited)).contains("0001_create_tables.sql:1: was edited"));

        let mut removed = recorded.clone();
        removed.remove(&format!("{FOLDER}/0002_add_column.sql"));
        assert!(
            found(&removed).contains("CHECKSUMS:2: 0002_add_column.sql was recorded and is gone")
        );

        let mut added = recorded;
        added.insert(format!("{FOLDER}/0003_drop_column.sql"), b"c".to_vec());
        assert_eq!(found(&bless(added)), "");
    }

    #[test]
    fn numbers_follow_each_other() {
        let gap = bless(files(&[("0001_a.sql", "a"), ("0003_b.sql", "b")]));
        assert!(found(&gap).contains("0003_b.sql:1: must be named 0002_"));
        let twice = bless(files(&[("0001_a.sql", "a"), ("0001_b.sql", "b")]));
        assert!(found(&twice).contains("0001_b.sql:1: must be named 0002_"));
        assert_eq!(number("0012_add_x.sql"), Some(12));
        for name in ["12_add_x.sql", "0012.sql", "+012_x.sql", "0012_x.txt"] {
            assert_eq!(number(name), None, "{name}");
        }
    }
}
