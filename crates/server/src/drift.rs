//! What two indexes of one collection do not agree on.

use std::cmp::Ordering;

use retriever::{Drift, Entry, SearchIndex};
use storage_core::DocumentKey;

use crate::shapes::{CollectionDrift, RowName, RowsBody};

/// Rows that are named; the others are counted.
const NAMED: usize = 100;

/// What a new index has otherwise than the one before it, as if the new one were the store.
pub(crate) fn between(old: &SearchIndex, new: &SearchIndex) -> Drift {
    let mut drift = Drift::default();
    let (mut olds, mut news) = (old.entries().peekable(), new.entries().peekable());
    loop {
        let order = match (olds.peek(), news.peek()) {
            (None, None) => return drift,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(left), Some(right)) => name(left).cmp(&name(right)),
        };
        match order {
            Ordering::Less => drift.ghosts.extend(olds.next().map(|entry| entry.key())),
            Ordering::Greater => drift.missing.extend(news.next().map(|entry| entry.key())),
            Ordering::Equal => {
                let (Some(left), Some(right)) = (olds.next(), news.next()) else {
                    return drift;
                };
                if !alike(old, &left, new, &right) {
                    drift.stale.push(right.key());
                }
            }
        }
    }
}

/// Rows of which there is nothing in the index.
pub(crate) fn lacking(keys: impl Iterator<Item = DocumentKey>) -> Drift {
    Drift {
        missing: keys.collect(),
        ..Drift::default()
    }
}

fn name<'a>(entry: &Entry<'a>) -> (&'a str, u32) {
    (entry.document_id(), entry.chunk())
}

fn alike(old: &SearchIndex, left: &Entry<'_>, new: &SearchIndex, right: &Entry<'_>) -> bool {
    let bits = |numbers: Option<&[f32]>| -> Option<Vec<u32>> {
        Some(numbers?.iter().map(|number| number.to_bits()).collect())
    };
    bits(old.vector(left.position())) == bits(new.vector(right.position()))
        && left.decode() == right.decode()
}

/// The answer's form.
pub(crate) fn body(
    collection: &str,
    rows: usize,
    without_vector: u64,
    drift: &Drift,
) -> CollectionDrift {
    CollectionDrift {
        collection: collection.to_owned(),
        rows,
        without_vector,
        missing: named(&drift.missing),
        ghost: named(&drift.ghosts),
        stale: named(&drift.stale),
    }
}

fn named(keys: &[DocumentKey]) -> RowsBody {
    let rows = keys.iter().take(NAMED).map(|key| RowName {
        document_id: key.document.clone(),
        chunk_index: key.chunk,
    });
    RowsBody {
        count: keys.len(),
        rows: rows.collect(),
    }
}
