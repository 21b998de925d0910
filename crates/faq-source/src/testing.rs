//! What the tests of all readers share: a snapshot as a few lines of text.

use crate::{Identity, SourceError, SourceLimits, SourceOptions, SourceSnapshot, open_bytes};

/// Options from `field=column` pairs.
pub(crate) fn mapped(pairs: &[&str]) -> SourceOptions {
    SourceOptions {
        mapping: pairs
            .iter()
            .map(|pair| {
                let (field, column) = pair.split_once('=').unwrap();
                (field.to_owned(), column.to_owned())
            })
            .collect(),
        ..SourceOptions::default()
    }
}

/// Reads bytes under the default limits.
pub(crate) fn read(
    name: &str,
    bytes: impl Into<Vec<u8>>,
    options: &SourceOptions,
) -> Result<SourceSnapshot, SourceError> {
    open_bytes(name, bytes.into(), options)?.read(&SourceLimits::default())
}

/// Rows as `row id#chunk | question | answer | category | subcategory | key=value …`, then issues as
/// `! row kind column: problem`. A row without an id shows `-`.
pub(crate) fn lines(snapshot: &SourceSnapshot) -> Vec<String> {
    let rows = snapshot.rows.iter().map(|row| {
        let id = row.id.as_deref().unwrap_or("-");
        let chunk = if row.chunk == 0 {
            String::new()
        } else {
            format!("#{}", row.chunk)
        };
        let mut parts = vec![
            format!("{} {id}{chunk}", row.locator.row.unwrap()),
            row.question.clone(),
            row.answer.clone(),
            row.category.clone().unwrap_or_default(),
            row.subcategory.clone().unwrap_or_default(),
        ];
        parts.extend(
            row.metadata
                .iter()
                .map(|(key, value)| format!("{key}={value:?}")),
        );
        while parts.last().is_some_and(String::is_empty) {
            parts.pop();
        }
        parts.join(" | ")
    });
    let issues = snapshot.issues.iter().map(|issue| {
        let column = issue
            .column
            .as_deref()
            .map_or_else(String::new, |column| format!(" {column}"));
        let row = issue.locator.row.unwrap();
        format!("! {row} {:?}{column}: {}", issue.kind, issue.problem)
    });
    let given = snapshot.rows.iter().all(|row| row.id.is_some());
    assert!(
        given || snapshot.identity == Identity::Derived,
        "an id is missing"
    );
    rows.chain(issues).collect()
}

/// The lines of a source that can be read, or the error.
pub(crate) fn shown(name: &str, bytes: impl Into<Vec<u8>>, options: &SourceOptions) -> Vec<String> {
    match read(name, bytes, options) {
        Ok(snapshot) => lines(&snapshot),
        Err(error) => vec![format!("{:?}: {error}", error.kind())],
    }
}
