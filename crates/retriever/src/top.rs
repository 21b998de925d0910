//! The best rows so far, in order.

use std::cmp::Ordering;

use storage_core::DocumentKey;

/// Keeps the best `k` documents of those offered, each by its best row; equal scores are ordered by key, so the
/// result does not depend on the order of the offers.
#[derive(Debug, Clone)]
pub struct TopHits<T> {
    k: usize,
    /// Best first.
    hits: Vec<(f32, DocumentKey, T)>,
}

impl<T> TopHits<T> {
    /// Room for `k` documents.
    #[must_use]
    pub fn new(k: usize) -> Self {
        Self {
            k,
            hits: Vec::with_capacity(k.min(1024)),
        }
    }

    /// Offers a row. `value` is called only when the row is kept.
    pub fn offer(&mut self, score: f32, key: &DocumentKey, value: impl FnOnce() -> T) {
        let rank = |hit: &(f32, DocumentKey, T)| order(hit.0, &hit.1, score, key);
        if self.k == 0
            || (self.hits.len() == self.k
                && self.hits.last().is_some_and(|last| rank(last).is_lt()))
        {
            return;
        }
        if let Some(other) = self
            .hits
            .iter()
            .position(|hit| hit.1.document == key.document)
        {
            if rank(&self.hits[other]).is_le() {
                return;
            }
            self.hits.remove(other);
        }
        let place = self.hits.partition_point(|hit| rank(hit).is_lt());
        self.hits.insert(place, (score, key.clone(), value()));
        self.hits.truncate(self.k);
    }

    /// The rows kept, best first.
    #[must_use]
    pub fn into_sorted(self) -> Vec<(f32, T)> {
        self.hits
            .into_iter()
            .map(|(score, _, value)| (score, value))
            .collect()
    }
}

/// Better comes first: higher score, then smaller key.
fn order(left: f32, left_key: &DocumentKey, right: f32, right_key: &DocumentKey) -> Ordering {
    right.total_cmp(&left).then_with(|| left_key.cmp(right_key))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use storage_core::CollectionName;

    use super::*;

    fn key(document: u8, chunk: u32) -> DocumentKey {
        let collection = CollectionName::new("faq").unwrap();
        DocumentKey {
            collection,
            document: format!("d{document:03}"),
            chunk,
        }
    }

    proptest! {
        #[test]
        fn equals_sorting_everything(
            rows in prop::collection::vec((0u8..40, 0u32..3, 0u8..6), 0..120),
            k in 0usize..12,
        ) {
            let mut top = TopHits::new(k);
            for (document, chunk, score) in &rows {
                top.offer(f32::from(*score), &key(*document, *chunk), || (*document, *chunk));
            }
            let mut all: Vec<_> = rows.iter().map(|(d, c, s)| (std::cmp::Reverse(*s), *d, *c)).collect();
            all.sort_unstable();
            let mut seen = std::collections::BTreeSet::new();
            let expected: Vec<_> = all.into_iter().filter(|row| seen.insert(row.1)).take(k).map(|row| (row.1, row.2)).collect();
            let found: Vec<_> = top.into_sorted().into_iter().map(|(_, row)| row).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
