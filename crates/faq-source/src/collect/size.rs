//! How much memory rows and issues take: an estimate, and rather too large than too small.

use storage_core::{Locator, MetadataValue};

use crate::{RowIssue, SourceRow};

/// What an allocation costs beside its content.
const ALLOCATION: u64 = 16;
/// What a row costs in the maps of ids and questions.
const LOOKUPS: u64 = 160;
/// A value beside the fields, with the name of its column; names are counted as if no two rows shared one.
const PAIR: u64 = (size_of::<std::sync::Arc<str>>() + size_of::<MetadataValue>()) as u64;

pub(super) fn row(row: &SourceRow) -> u64 {
    let fields = [
        row.id.as_deref(),
        // The id stands in the map of ids too.
        row.id.as_deref(),
        Some(row.question.as_str()),
        Some(row.answer.as_str()),
        row.category.as_deref(),
        row.subcategory.as_deref(),
    ];
    let pairs = row.metadata.iter();
    let metadata: u64 = pairs
        .map(|(key, value)| text(key) + self::value(value) + PAIR)
        .sum();
    let fields: u64 = fields.into_iter().flatten().map(text).sum();
    size_of::<SourceRow>() as u64 + LOOKUPS + fields + locator(&row.locator) + ALLOCATION + metadata
}

pub(super) fn issue(issue: &RowIssue) -> u64 {
    let texts = [issue.id.as_deref(), issue.column.as_deref()];
    let texts: u64 = texts.into_iter().flatten().map(text).sum();
    size_of::<RowIssue>() as u64 + locator(&issue.locator) + texts + text(&issue.problem)
}

fn locator(locator: &Locator) -> u64 {
    locator.sheet.as_deref().map_or(0, text)
}

fn value(value: &MetadataValue) -> u64 {
    match value {
        MetadataValue::String(content) => text(content),
        MetadataValue::List(values) => {
            let inner = values.iter().map(self::value).sum::<u64>();
            ALLOCATION + (size_of::<MetadataValue>() * values.len()) as u64 + inner
        }
        MetadataValue::I64(_) | MetadataValue::F64(_) | MetadataValue::Bool(_) => 0,
    }
}

fn text(text: &str) -> u64 {
    text.len() as u64 + ALLOCATION
}
