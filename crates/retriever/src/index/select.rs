//! Which rows take part in a search. What the index has lists for is looked up; the rest is decoded row by row, and
//! only as far as the filter asks.

use std::ops::Range;

use storage_core::Filter;

use super::SearchIndex;
use super::packed::Parts;

/// The rows that pass a filter, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Selected {
    /// All of a stretch.
    Stretch(Range<usize>),
    /// These.
    Rows(Vec<u32>),
}

impl Selected {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Stretch(range) => range.len(),
            Self::Rows(rows) => rows.len(),
        }
    }

    /// Fills `block` with the next rows from the `from`th on, and tells how many there were.
    pub(super) fn fill(&self, from: usize, block: &mut [u32]) -> usize {
        match self {
            Self::Stretch(range) => {
                let count = block.len().min(range.len().saturating_sub(from));
                let first = (range.start + from) as u32;
                for (place, row) in block[..count].iter_mut().zip(first..) {
                    *place = row;
                }
                count
            }
            Self::Rows(rows) => {
                let rest = rows.get(from..).unwrap_or_default();
                let count = block.len().min(rest.len());
                block[..count].copy_from_slice(&rest[..count]);
                count
            }
        }
    }
}

impl SearchIndex {
    /// The rows that pass.
    pub(super) fn select(&self, filter: &Filter) -> Selected {
        let range = match &filter.document {
            Some(document) => self.rows_of(document),
            None => 0..self.len(),
        };
        let mut selected = match &filter.category {
            Some(category) => Selected::Rows(self.rows_in(category, &range)),
            None => Selected::Stretch(range),
        };
        if filter.contains.is_some() || !filter.metadata.is_empty() {
            selected = Selected::Rows(self.rows_that_match(filter, &selected));
        }
        selected
    }

    /// The rows of a category within a stretch.
    fn rows_in(&self, wanted: &str, range: &Range<usize>) -> Vec<u32> {
        let lower = wanted.to_lowercase();
        let mut lists = self
            .packed
            .categories()
            .iter()
            .filter(|category| category.is(wanted, &lower))
            .map(|category| {
                let at =
                    |bound: usize| category.rows.partition_point(|row| (*row as usize) < bound);
                &category.rows[at(range.start)..at(range.end)]
            });
        let mut rows = lists.next().unwrap_or_default().to_vec();
        let first = rows.len();
        lists.for_each(|list| rows.extend_from_slice(list));
        if rows.len() > first {
            // A category in two spellings.
            rows.sort_unstable();
        }
        rows
    }

    /// The rows among these that pass what only their fields can tell.
    fn rows_that_match(&self, filter: &Filter, among: &Selected) -> Vec<u32> {
        let rest = Filter {
            metadata: filter.metadata.clone(),
            ..Filter::default()
        };
        let keys: Vec<&str> = rest.metadata.iter().map(|one| one.key.as_str()).collect();
        let keys = self.packed.numbers_of(&keys);
        let parts = Parts {
            texts: false,
            metadata: Some(&keys),
        };
        // As `Filter::matches` compares, without a copy of the row.
        let wanted = filter.contains.as_ref().map(|wanted| wanted.to_lowercase());
        let contains = |row: usize| {
            wanted.as_ref().is_none_or(|wanted| {
                self.packed.fields(row).is_some_and(|fields| {
                    [fields.title, fields.body]
                        .into_iter()
                        .any(|text| text.to_lowercase().contains(wanted))
                })
            })
        };
        let matches = |row: usize| {
            rest.metadata.is_empty()
                || self
                    .packed
                    .document(&self.collection, row, parts)
                    .is_some_and(|document| rest.matches(&document))
        };
        let mut block = [0; 256];
        let mut rows = Vec::new();
        for from in (0..among.len()).step_by(block.len()) {
            let count = among.fill(from, &mut block);
            let found = block[..count].iter();
            rows.extend(found.filter(|row| contains(**row as usize) && matches(**row as usize)));
        }
        rows
    }
}
