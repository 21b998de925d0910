//! What `eval` prints for a program.

use std::collections::BTreeMap;

use retriever::{Comparison, Difference};
use serde::Serialize;

use super::Model;
use crate::record::CalibrationRecord;

#[derive(Debug, Serialize)]
pub(crate) struct Group {
    pub(crate) queries: usize,
    pub(crate) top1: f64,
    pub(crate) top3: f64,
    pub(crate) mrr: f64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Miss {
    pub(crate) query: String,
    pub(crate) expected: Vec<String>,
    pub(crate) got: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Eval {
    pub(crate) queries: usize,
    pub(crate) top1: f64,
    pub(crate) top3: f64,
    pub(crate) mrr: f64,
    /// Mean score of the best hit, over the questions that an entry answers and that found one.
    pub(crate) mean_similarity: Option<f64>,
    /// Questions that could not be asked at all, as a share of all.
    pub(crate) error_rate: f64,
    pub(crate) unanswerable: usize,
    pub(crate) by_category: BTreeMap<String, Group>,
    pub(crate) by_language: BTreeMap<String, Group>,
    pub(crate) misses: Vec<Miss>,
    pub(crate) flips: Flips,
    pub(crate) calibration: Option<CalibrationRecord>,
    /// Ids that are right by the file and that the collection does not have.
    pub(crate) unknown_ids: Vec<String>,
    pub(crate) generation: u64,
    pub(crate) model: Option<Model>,
}

/// Without a baseline an empty array, which the first readers of this document know.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Flips {
    None([String; 0]),
    Against(Box<Against>),
}

impl Flips {
    pub(crate) fn against(version: &str, kept_at: Option<&str>, comparison: &Comparison) -> Self {
        Self::Against(Box::new(Against::of(version, kept_at, comparison)))
    }
}

/// Against a baseline: what was lost and won, question by question, and how much of it may be chance.
#[derive(Debug, Serialize)]
pub(crate) struct Against {
    /// The version compared with.
    baseline: String,
    /// When that was measured, where it was not measured now.
    baseline_at: Option<String>,
    /// Questions compared.
    questions: usize,
    /// Right among the best three before, not now.
    lost: Vec<Flip>,
    /// The reverse.
    won: Vec<Flip>,
    /// Best entry right before, not now.
    lost_top1: Vec<Flip>,
    /// The reverse.
    won_top1: Vec<Flip>,
    top3_difference: Interval,
    top1_difference: Interval,
}

#[derive(Debug, Serialize)]
pub(crate) struct Flip {
    id: Option<String>,
    query: String,
    expected: Vec<String>,
    rank_before: Option<usize>,
    rank_after: Option<usize>,
    before: Vec<String>,
    after: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Interval {
    value: f64,
    low: f64,
    high: f64,
    p: f64,
    before: f64,
    after: f64,
}

impl Against {
    fn of(version: &str, kept_at: Option<&str>, comparison: &Comparison) -> Self {
        let Comparison {
            questions,
            top1,
            top3,
        } = comparison;
        let interval = |difference: &Difference| Interval {
            value: difference.value,
            low: difference.low,
            high: difference.high,
            p: difference.p,
            before: difference.before,
            after: difference.after,
        };
        Self {
            baseline: version.to_owned(),
            baseline_at: kept_at.map(ToOwned::to_owned),
            questions: *questions,
            lost: flips(&top3.lost),
            won: flips(&top3.won),
            lost_top1: flips(&top1.lost),
            won_top1: flips(&top1.won),
            top3_difference: interval(top3),
            top1_difference: interval(top1),
        }
    }
}

fn flips(flips: &[retriever::Flip]) -> Vec<Flip> {
    let of = |flip: &retriever::Flip| Flip {
        id: flip.id.clone(),
        query: flip.query.clone(),
        expected: flip.expected.clone(),
        rank_before: flip.rank_before,
        rank_after: flip.rank_after,
        before: flip.before.clone(),
        after: flip.after.clone(),
    };
    flips.iter().map(of).collect()
}
