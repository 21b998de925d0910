//! Questions with known answers, as a file holds them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use faq_source::{SourceLimits, SourceOptions};
use retriever::{GoldenQuery, SearchIndex};
use storage_core::{ContentHash, MetadataValue, normalise};

use crate::exit::{Failure, usage};

/// Ids that a message names at most.
const NAMED: usize = 10;

/// The questions of a file.
#[derive(Debug)]
pub(crate) struct Golden {
    /// Its name, without its directory.
    pub(crate) file: String,
    /// Of the questions and their answers, so that the same ones in another format are the same.
    pub(crate) digest: String,
    /// The questions, in the file's order.
    pub(crate) questions: Vec<GoldenQuery>,
}

impl Golden {
    /// Reads a file, through the readers of sources: encodings, delimiters and limits are theirs.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let questions = read(path)?;
        let keys: Vec<String> = questions.iter().map(key).collect();
        let name = path.file_name().unwrap_or(path.as_os_str());
        Ok(Self {
            file: name.to_string_lossy().into_owned(),
            digest: ContentHash::of(keys.concat().as_bytes()).to_hex(),
            questions,
        })
    }

    /// Ids that are right by the file and that the collection does not have, in order.
    pub(crate) fn unknown_ids(&self, index: &SearchIndex) -> Vec<String> {
        let known: BTreeSet<&str> = index.documents().map(|document| document.id).collect();
        let named = self.questions.iter().flat_map(|question| &question.gold);
        let unknown: BTreeSet<&String> = named.filter(|id| !known.contains(id.as_str())).collect();
        unknown.into_iter().cloned().collect()
    }

    /// How many questions an entry answers, and how many none.
    pub(crate) fn kinds(&self) -> (usize, usize) {
        let with = self
            .questions
            .iter()
            .filter(|question| !question.gold.is_empty())
            .count();
        (with, self.questions.len() - with)
    }

    /// The questions; one without a category takes that of the entry that answers it.
    pub(super) fn with_categories(&self, index: &SearchIndex) -> Vec<GoldenQuery> {
        let categories: BTreeMap<&str, &str> = index
            .entries()
            .filter_map(|entry| Some((entry.document_id(), entry.category()?)))
            .collect();
        let mut questions = self.questions.clone();
        for query in questions
            .iter_mut()
            .filter(|query| query.category.is_none())
        {
            let category = query
                .gold
                .first()
                .and_then(|id| categories.get(id.as_str()));
            query.category = category.map(|category| (*category).to_owned());
        }
        questions
    }
}

/// What makes a question the same in another file, or in the same one later: its text and its answers.
pub(super) fn key(question: &GoldenQuery) -> String {
    let answers: BTreeSet<&String> = question.gold.iter().collect();
    let mut text = normalise(&question.query);
    for answer in answers {
        text.push('\0');
        text.push_str(answer);
    }
    ContentHash::of(text.as_bytes()).to_hex()[..16].to_owned()
}

/// Names the first of many.
pub(super) fn first_of(names: &[String]) -> String {
    let shown = names[..names.len().min(NAMED)].join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn read(path: &Path) -> Result<Vec<GoldenQuery>, Failure> {
    let options = SourceOptions {
        // An id is a label here, not identity: rows may lack one.
        mapping: vec![
            ("question".to_owned(), "query".to_owned()),
            ("id".to_owned(), String::new()),
        ],
        ..SourceOptions::default()
    };
    let snapshot = faq_source::open(path, &options)?.read(&SourceLimits::default())?;
    if let Some(issue) = snapshot.rejected().next() {
        let row = issue.locator.row.unwrap_or_default();
        return Err(usage(format!(
            "golden file {}, row {row}: {}",
            path.display(),
            issue.problem
        )));
    }
    if snapshot.rows.is_empty() {
        return Err(usage(format!(
            "golden file {} has no questions",
            path.display()
        )));
    }
    let rows = snapshot.rows.into_iter();
    Ok(rows
        .map(|row| GoldenQuery {
            gold: row.metadata.get("gold").map(ids).unwrap_or_default(),
            lang: row.metadata.get("lang").map(ToString::to_string),
            id: row.metadata.get("id").map(ToString::to_string),
            query: row.question,
            category: row.category,
        })
        .collect())
}

/// Ids as a list, or in one cell: separated by `|` or `;`, or as a JSON list.
fn ids(value: &MetadataValue) -> Vec<String> {
    let text = match value {
        MetadataValue::List(values) => return values.iter().map(ToString::to_string).collect(),
        other => other.to_string(),
    };
    if let Ok(list) = serde_json::from_str::<Vec<String>>(&text) {
        return list;
    }
    text.split(['|', ';'])
        .map(str::trim)
        .filter(|id| !id.is_empty())
        .map(ToOwned::to_owned)
        .collect()
}
