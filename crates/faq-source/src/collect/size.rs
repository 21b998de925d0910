//! How much memory rows and issues take: an estimate, and rather too large than too small.

use storage_core::{Locator, MetadataValue};

use crate::{RowIssue, SourceRow};

/// What an allocation costs beside its content.
const ALLOCATION: u64 = 16;
/// What a row costs in the maps of ids and questions, which are half empty after they have grown.
const LOOKUPS: u64 = 100;
/// A value beside the fields, with the name of its column; names are counted as if no two rows shared one.
const PAIR: u64 = (size_of::<std::sync::Arc<str>>() + size_of::<MetadataValue>()) as u64;

pub(super) fn row(row: &SourceRow) -> u64 {
    let fields = [
        row.id.as_ref(),
        Some(&row.question),
        Some(&row.answer),
        row.category.as_ref(),
        row.subcategory.as_ref(),
    ];
    let pairs = row.metadata.iter();
    let metadata: u64 = pairs
        .map(|(key, value)| key.len() as u64 + ALLOCATION + self::value(value) + PAIR)
        .sum();
    let fields: u64 = fields.into_iter().flatten().map(text).sum();
    size_of::<SourceRow>() as u64 + LOOKUPS + fields + locator(&row.locator) + ALLOCATION + metadata
}

pub(super) fn issue(issue: &RowIssue) -> u64 {
    let texts = [issue.id.as_ref(), issue.column.as_ref()];
    let texts: u64 = texts.into_iter().flatten().map(text).sum();
    size_of::<RowIssue>() as u64 + locator(&issue.locator) + texts + text(&issue.problem)
}

fn locator(locator: &Locator) -> u64 {
    locator.sheet.as_ref().map_or(0, text)
}

fn value(value: &MetadataValue) -> u64 {
    match value {
        MetadataValue::String(content) => text(content),
        MetadataValue::List(values) => {
            let inner = values.iter().map(self::value).sum::<u64>();
            ALLOCATION + (size_of::<MetadataValue>() * values.capacity()) as u64 + inner
        }
        MetadataValue::I64(_) | MetadataValue::F64(_) | MetadataValue::Bool(_) => 0,
    }
}

fn text(text: &String) -> u64 {
    text.capacity() as u64 + ALLOCATION
}
