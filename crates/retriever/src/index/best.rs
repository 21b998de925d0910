//! The best rows so far. Rows are offered in key order, so a row's position stands for its key.

use std::cmp::Ordering;

/// Up to this many are kept in order; beyond it, everything is kept and sorted once at the end.
const FEW: usize = 256;

/// Keeps the best `k` documents of those offered, each by its best row, exactly as [`crate::TopHits`] does.
#[derive(Debug)]
pub(super) struct Best {
    k: usize,
    threshold: f32,
    /// Score, row, document. The best first, while few are kept.
    hits: Vec<(f32, u32, u32)>,
}

impl Best {
    pub(super) fn new(k: usize, threshold: Option<f32>) -> Self {
        Self {
            k,
            threshold: threshold.unwrap_or(f32::NEG_INFINITY),
            hits: Vec::with_capacity(k.min(FEW)),
        }
    }

    /// Offers a row that stands behind all rows offered before.
    #[inline]
    pub(super) fn offer(&mut self, score: f32, row: u32, document: impl FnOnce(usize) -> usize) {
        let is_kept = score >= self.threshold
            && (self.hits.len() < self.k
                || self.k > FEW
                || self
                    .hits
                    .last()
                    .is_some_and(|last| score.total_cmp(&last.0).is_gt()));
        if is_kept {
            let document = u32::try_from(document(row as usize)).unwrap_or(u32::MAX);
            self.keep(score, row, document);
        }
    }

    fn keep(&mut self, score: f32, row: u32, document: u32) {
        if self.k > FEW {
            self.hits.push((score, row, document));
            return;
        }
        if let Some(other) = self.hits.iter().position(|hit| hit.2 == document) {
            if self.hits[other].0.total_cmp(&score).is_ge() {
                return;
            }
            self.hits.remove(other);
        }
        // Behind those that are as good: their keys are smaller.
        let place = self
            .hits
            .partition_point(|hit| hit.0.total_cmp(&score).is_ge());
        self.hits.insert(place, (score, row, document));
        self.hits.truncate(self.k);
    }

    /// Score and row of those kept, best first.
    pub(super) fn into_sorted(mut self) -> Vec<(f32, usize)> {
        if self.k > FEW {
            // The best row of each document first, then the best documents.
            self.hits
                .sort_unstable_by(|left, right| left.2.cmp(&right.2).then(order(left, right)));
            self.hits.dedup_by_key(|hit| hit.2);
            self.hits.sort_unstable_by(order);
            self.hits.truncate(self.k);
        }
        self.hits
            .into_iter()
            .map(|(score, row, _)| (score, row as usize))
            .collect()
    }
}

fn order(left: &(f32, u32, u32), right: &(f32, u32, u32)) -> Ordering {
    right.0.total_cmp(&left.0).then(left.1.cmp(&right.1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use storage_core::{CollectionName, DocumentKey};

    use super::*;
    use crate::TopHits;

    proptest! {
        #[test]
        fn equals_the_top_of_a_search_row_by_row(
            scores in prop::collection::vec((0u8..12, 0u8..3), 0..700),
            k in prop_oneof![0usize..12, 250usize..260, Just(usize::MAX)],
            threshold in prop::option::of(0u8..6),
        ) {
            let threshold = threshold.map(f32::from);
            let collection = CollectionName::new("faq").unwrap();
            let (mut best, mut top) = (Best::new(k, threshold), TopHits::new(k));
            let (mut document, mut chunk) = (0usize, 0);
            for (row, (score, step)) in (0u32..).zip(scores) {
                (document, chunk) = if step == 0 { (document, chunk + 1) } else { (document + 1, 0) };
                let score = f32::from(score) - 3.0;
                best.offer(score, row, |_| document);
                let key = DocumentKey { collection: collection.clone(), document: format!("{document:05}"), chunk };
                if threshold.is_none_or(|threshold| score >= threshold) {
                    top.offer(score, &key, || row as usize);
                }
            }
            prop_assert_eq!(best.into_sorted(), top.into_sorted());
        }
    }
}
