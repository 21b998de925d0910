//! The FAQ of the quickstart: TOML that people edit, and the workbook that `make-fixtures` writes from it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Deserialize;

use crate::{Entry, workspace};

/// How many templates the FAQ has.
pub const TEMPLATES: usize = 201;

/// The files, in the workbook's order.
const FILES: [&str; 6] = [
    "cards", "loans", "deposits", "accounts", "online", "currency",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    category: String,
    template: Vec<Entry>,
}

/// The workbook's path.
#[must_use]
pub fn fixture_path() -> PathBuf {
    workspace().join("fixtures/smart_support_vtb_belarus_faq_final.xlsx")
}

/// Reads the templates out of `fixtures/faq`.
///
/// # Errors
/// When a file cannot be read, a field is empty, two templates ask the same, or there are not [`TEMPLATES`] of them.
pub fn templates() -> Result<Vec<Entry>, String> {
    let mut entries = Vec::new();
    for name in FILES {
        let path = workspace().join(format!("fixtures/faq/{name}.toml"));
        let fault = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let text = std::fs::read_to_string(&path).map_err(|error| fault(&error))?;
        let file: File = toml::from_str(&text).map_err(|error| fault(&error))?;
        for mut entry in file.template {
            entry.category.clone_from(&file.category);
            if let Some(cell) = entry.cells().iter().find(|cell| cell.trim() != **cell) {
                return Err(fault(&format!("white space around {cell:?}")));
            }
            if entry.cells().iter().any(|cell| cell.is_empty()) {
                return Err(fault(&format!("an empty field in {:?}", entry.question)));
            }
            entries.push(entry);
        }
    }
    let mut questions = BTreeSet::new();
    if let Some(twice) = entries
        .iter()
        .find(|entry| !questions.insert(entry.question.to_lowercase()))
    {
        return Err(format!("{:?} is asked twice", twice.question));
    }
    if entries.len() != TEMPLATES {
        return Err(format!(
            "there are {} templates in fixtures/faq, expected {TEMPLATES}",
            entries.len()
        ));
    }
    Ok(entries)
}
