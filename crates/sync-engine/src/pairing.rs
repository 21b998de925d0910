//! Pairs rows that have no ids: incoming with stored rows of the same source.
//!
//! Each step pairs only where the match is unique on both sides, from the surest evidence to the weakest: question
//! and answer; question, category and subcategory; question; answer and category. An edited question is then a
//! modified row, not a deleted and a new one, so its id stays. A row of a data set, which has neither, is the one that
//! stood in its place, if at least half of its columns say the same.

use std::collections::HashMap;
use std::hash::Hash;

use storage_core::{ContentHash, Document, normalise};

/// What the steps compare; hashes, so that a large source is not held twice.
struct Evidence {
    question: ContentHash,
    answer: ContentHash,
    category: ContentHash,
    full_category: ContentHash,
    has_question: bool,
    has_answer: bool,
}

impl Evidence {
    fn of(document: &Document) -> Self {
        let text = |text: &str| ContentHash::of(normalise(text).to_lowercase().as_bytes());
        let category = document.category.as_deref().unwrap_or_default();
        let subcategory = document.subcategory.as_deref().unwrap_or_default();
        Self {
            question: text(&document.title),
            answer: text(&document.body),
            category: text(category),
            full_category: text(&format!("{category}\u{1f}{subcategory}")),
            has_question: !document.title.trim().is_empty(),
            has_answer: !document.body.trim().is_empty(),
        }
    }
}

/// Pairs as (incoming, stored) positions; what is in no pair is new, or gone.
pub(crate) fn pair(incoming: &[&Document], stored: &[&Document]) -> Vec<(usize, usize)> {
    let incoming_evidence: Vec<Evidence> = incoming
        .iter()
        .map(|document| Evidence::of(document))
        .collect();
    let stored_evidence: Vec<Evidence> = stored
        .iter()
        .map(|document| Evidence::of(document))
        .collect();
    let mut left = (vec![true; incoming.len()], vec![true; stored.len()]);
    let mut pairs = Vec::new();
    let mut step = |key: &dyn Fn(&Evidence) -> Option<[ContentHash; 3]>| {
        let found = unique(&incoming_evidence, &left.0, &stored_evidence, &left.1, key);
        for &(row, other) in &found {
            left.0[row] = false;
            left.1[other] = false;
        }
        pairs.extend(found);
    };
    step(&|row| Some([row.question, row.answer, row.question]));
    step(&|row| {
        row.has_question
            .then_some([row.question, row.full_category, row.question])
    });
    step(&|row| row.has_question.then_some([row.question; 3]));
    step(&|row| {
        row.has_answer
            .then_some([row.answer, row.category, row.answer])
    });
    let place = |row: &&Document| {
        let place = row
            .locator
            .row
            .map(|number| (row.locator.sheet.clone(), number));
        place.filter(|_| row.source.is_data_set())
    };
    let in_place = unique(incoming, &left.0, stored, &left.1, &place);
    pairs.extend(
        in_place
            .into_iter()
            .filter(|(row, other)| half_equal(incoming[*row], stored[*other])),
    );
    pairs
}

/// Whether at least half of the columns of either row are in the other too, with the same value.
fn half_equal(left: &Document, right: &Document) -> bool {
    let equal = left
        .metadata
        .iter()
        .filter(|(column, value)| right.metadata.get(*column) == Some(*value))
        .count();
    equal > 0 && equal * 2 >= left.metadata.len().max(right.metadata.len())
}

/// Pairs of rows whose key occurs exactly once on either side.
fn unique<T, K: Hash + Eq>(
    incoming: &[T],
    incoming_left: &[bool],
    stored: &[T],
    stored_left: &[bool],
    key: &dyn Fn(&T) -> Option<K>,
) -> Vec<(usize, usize)> {
    let mut seen: HashMap<K, (Once, Once)> = HashMap::new();
    for (position, row) in incoming
        .iter()
        .enumerate()
        .filter(|(position, _)| incoming_left[*position])
    {
        if let Some(key) = key(row) {
            seen.entry(key).or_default().0.add(position);
        }
    }
    for (position, row) in stored
        .iter()
        .enumerate()
        .filter(|(position, _)| stored_left[*position])
    {
        if let Some(entry) = key(row).and_then(|key| seen.get_mut(&key)) {
            entry.1.add(position);
        }
    }
    let mut pairs: Vec<_> = seen
        .into_values()
        .filter_map(|sides| match sides {
            (Once::One(row), Once::One(other)) => Some((row, other)),
            _ => None,
        })
        .collect();
    pairs.sort_unstable();
    pairs
}

#[derive(Clone, Copy, Default)]
enum Once {
    #[default]
    None,
    One(usize),
    Many,
}

impl Once {
    fn add(&mut self, position: usize) {
        *self = match self {
            Self::None => Self::One(position),
            Self::One(_) | Self::Many => Self::Many,
        };
    }
}
