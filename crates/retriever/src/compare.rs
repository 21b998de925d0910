//! What a change cost and what it gave: two evaluations of the same questions, question by question.
//!
//! A mean that stays equal can hide ten questions lost and ten won, so both are named. How much of a difference may be
//! chance is said by a paired bootstrap: the questions are drawn with replacement, each with both its outcomes, and the
//! middle 95 % of the differences are the interval (percentile method: Efron & Tibshirani, *An Introduction to the
//! Bootstrap*, 1993, §13.3). Of the questions on which the two disagree, equal systems would lose about half: the exact
//! form of McNemar's test (1947) says how rare a split that uneven would be.

use crate::chance::{Random, binomial_at_most};
use crate::evaluate::{GoldenQuery, Outcome};

/// Times the questions are drawn anew.
pub const RESAMPLES: usize = 10_000;
/// Where the drawing starts. Fixed, so that equal outcomes give equal intervals.
pub const BOOTSTRAP_SEED: u64 = 1993;

/// A question that one side answers among its best, and the other does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flip {
    /// Its name, where it has one.
    pub id: Option<String>,
    /// The question.
    pub query: String,
    /// Ids that are right.
    pub expected: Vec<String>,
    /// Rank of the first right id in the baseline, from 1.
    pub rank_before: Option<usize>,
    /// The same in the candidate.
    pub rank_after: Option<usize>,
    /// Ids the baseline found, best first, three at most.
    pub before: Vec<String>,
    /// Ids the candidate found.
    pub after: Vec<String>,
}

/// How the share of right answers among the best few changed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Difference {
    /// Share in the baseline.
    pub before: f64,
    /// Share in the candidate.
    pub after: f64,
    /// Candidate less baseline.
    pub value: f64,
    /// Lower end of the 95 % interval of the value.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// How often two equally good systems would disagree at least this unevenly; 1 where they never disagree.
    pub p: f64,
    /// Right before, not after.
    pub lost: Vec<Flip>,
    /// Right after, not before.
    pub won: Vec<Flip>,
}

/// A candidate against a baseline.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Comparison {
    /// Questions that were compared: those that an entry answers.
    pub questions: usize,
    /// The best entry.
    pub top1: Difference,
    /// The best three.
    pub top3: Difference,
}

/// Compares two evaluations: every question with its outcome before and after. Those that no entry answers are left
/// out.
#[must_use]
pub fn compare<'a>(
    asked: impl IntoIterator<Item = (&'a GoldenQuery, &'a Outcome, &'a Outcome)>,
) -> Comparison {
    let asked: Vec<_> = asked
        .into_iter()
        .filter(|(query, ..)| !query.gold.is_empty())
        .collect();
    // Right counts 1, so a question adds −1, 0 or 1 to the difference.
    let change = |best: usize| -> Vec<i64> {
        let right = |outcome: &Outcome| i64::from(outcome.is_right_within(best));
        asked
            .iter()
            .map(|(_, before, after)| right(after) - right(before))
            .collect()
    };
    let (top1, top3) = (change(1), change(3));
    let [first, third] = intervals([&top1, &top3]);
    Comparison {
        questions: asked.len(),
        top1: difference(&asked, 1, first),
        top3: difference(&asked, 3, third),
    }
}

#[allow(
    clippy::cast_precision_loss,
    reason = "counts of questions are far below 2^52"
)]
fn difference(
    asked: &[(&GoldenQuery, &Outcome, &Outcome)],
    best: usize,
    (low, high): (f64, f64),
) -> Difference {
    let share = |right: usize| right as f64 / asked.len().max(1) as f64;
    let before = asked
        .iter()
        .filter(|(_, before, _)| before.is_right_within(best));
    let after = asked
        .iter()
        .filter(|(_, _, after)| after.is_right_within(best));
    let (before, after) = (share(before.count()), share(after.count()));
    let flips = |was: bool| -> Vec<Flip> {
        asked
            .iter()
            .filter(|(_, before, after)| {
                before.is_right_within(best) == was && after.is_right_within(best) != was
            })
            .map(|(query, before, after)| Flip {
                id: query.id.clone(),
                query: query.query.clone(),
                expected: query.gold.clone(),
                rank_before: before.rank,
                rank_after: after.rank,
                before: before.got.clone(),
                after: after.got.clone(),
            })
            .collect()
    };
    let (lost, won) = (flips(true), flips(false));
    let net = won.len() as f64 - lost.len() as f64;
    Difference {
        before,
        after,
        value: net / asked.len().max(1) as f64,
        low,
        high,
        p: uneven(lost.len(), won.len()),
        lost,
        won,
    }
}

/// The exact two-sided chance of a split at least this uneven, when either side is as likely.
fn uneven(lost: usize, won: usize) -> f64 {
    (2.0 * binomial_at_most(lost.min(won), lost + won, 0.5)).min(1.0)
}

/// The interval of each row of changes. All rows are drawn together: the same questions count for each.
#[allow(
    clippy::cast_precision_loss,
    reason = "counts of questions are far below 2^52"
)]
fn intervals<const ROWS: usize>(changes: [&[i64]; ROWS]) -> [(f64, f64); ROWS] {
    let count = changes.first().map_or(0, |row| row.len());
    if count == 0 {
        return [(0.0, 0.0); ROWS];
    }
    let mut random = Random::new(BOOTSTRAP_SEED);
    let mut sums: [Vec<i64>; ROWS] = std::array::from_fn(|_| Vec::with_capacity(RESAMPLES));
    for _ in 0..RESAMPLES {
        let mut drawn = [0i64; ROWS];
        for _ in 0..count {
            let question = random.below(count);
            for (sum, row) in drawn.iter_mut().zip(changes) {
                *sum += row[question];
            }
        }
        for (sums, sum) in sums.iter_mut().zip(drawn) {
            sums.push(sum);
        }
    }
    sums.map(|mut sums| {
        sums.sort_unstable();
        // The 250th of 10,000 from either end: 2.5 % lie beyond.
        let beyond = RESAMPLES / 40;
        let share = |sum: i64| sum as f64 / count as f64;
        (share(sums[beyond - 1]), share(sums[RESAMPLES - beyond]))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn asked(ranks: &[(Option<usize>, Option<usize>)]) -> Vec<(GoldenQuery, Outcome, Outcome)> {
        let outcome = |rank: Option<usize>, side: &str| Outcome {
            rank,
            score: Some(0.5),
            got: vec![side.to_owned()],
        };
        ranks
            .iter()
            .enumerate()
            .map(|(number, (before, after))| {
                let query = GoldenQuery {
                    query: format!("q{number}"),
                    gold: vec!["right".to_owned()],
                    ..GoldenQuery::default()
                };
                (query, outcome(*before, "old"), outcome(*after, "new"))
            })
            .collect()
    }

    fn compared(ranks: &[(Option<usize>, Option<usize>)]) -> Comparison {
        let asked = asked(ranks);
        compare(
            asked
                .iter()
                .map(|(query, before, after)| (query, before, after)),
        )
    }

    #[test]
    fn flips_are_named_both_ways() {
        let found = compared(&[
            (Some(1), Some(1)),
            (Some(1), Some(4)),
            (None, Some(3)),
            (Some(2), Some(1)),
            (None, None),
        ]);
        assert_eq!(found.questions, 5);
        let names = |flips: &[Flip]| -> Vec<String> {
            flips.iter().map(|flip| flip.query.clone()).collect()
        };
        assert_eq!(names(&found.top3.lost), ["q1"]);
        assert_eq!(names(&found.top3.won), ["q2"]);
        assert_eq!(names(&found.top1.lost), ["q1"]);
        assert_eq!(names(&found.top1.won), ["q3"]);
        let lost = &found.top3.lost[0];
        assert_eq!((lost.rank_before, lost.rank_after), (Some(1), Some(4)));
        assert_eq!(
            (&lost.before[..], &lost.after[..]),
            (&["old".to_owned()][..], &["new".to_owned()][..])
        );
        assert!((found.top3.before - 0.6).abs() < 1e-12);
        assert!((found.top3.after - 0.6).abs() < 1e-12);
        assert!(found.top3.value.abs() < 1e-12);
    }

    #[test]
    fn questions_without_an_answer_are_not_compared() {
        let mut asked = asked(&[(Some(1), None), (Some(1), Some(1))]);
        asked[0].0.gold.clear();
        let found = compare(
            asked
                .iter()
                .map(|(query, before, after)| (query, before, after)),
        );
        assert_eq!((found.questions, found.top1.lost.len()), (1, 0));
        assert_eq!(
            compare([]),
            Comparison {
                top1: nothing(),
                top3: nothing(),
                questions: 0
            }
        );
    }

    fn nothing() -> Difference {
        Difference {
            p: 1.0,
            ..Difference::default()
        }
    }

    #[test]
    fn the_interval_is_that_of_the_normal_approximation_where_that_holds() {
        // 400 questions, 60 lost and 20 won: difference −0.1, standard error √((80 − 40²/400) / 400²) = 0.0218.
        let mut ranks = vec![(Some(1), None); 60];
        ranks.extend(vec![(None, Some(1)); 20]);
        ranks.extend(vec![(Some(1), Some(1)); 320]);
        let found = compared(&ranks).top3;
        assert!((found.value + 0.1).abs() < 1e-12);
        assert!(
            (found.low + 0.1 + 1.96 * 0.0218).abs() < 0.005,
            "{}",
            found.low
        );
        assert!(
            (found.high + 0.1 - 1.96 * 0.0218).abs() < 0.005,
            "{}",
            found.high
        );
        assert!(found.p < 1e-4);
    }

    #[test]
    fn a_single_loss_is_no_evidence() {
        let mut ranks = vec![(Some(1), None)];
        ranks.extend(vec![(Some(1), Some(1)); 30]);
        let found = compared(&ranks).top3;
        assert!(found.low < 0.0 && found.high.abs() < 1e-12);
        assert!((found.p - 1.0).abs() < 1e-12);
        // Five of five: 2 · 1/32.
        assert!((uneven(5, 0) - 2.0 / 32.0).abs() < 1e-12);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn both_directions_mirror_each_other(
            ranks in prop::collection::vec((prop::option::of(1usize..6), prop::option::of(1usize..6)), 1..40),
        ) {
            let forth = compared(&ranks);
            let swapped: Vec<_> = ranks.iter().map(|(before, after)| (*after, *before)).collect();
            let back = compared(&swapped);
            for (forth, back) in [(&forth.top1, &back.top1), (&forth.top3, &back.top3)] {
                prop_assert!((forth.value + back.value).abs() < 1e-12);
                prop_assert!((forth.low + back.high).abs() < 1e-12);
                prop_assert_eq!(forth.lost.len(), back.won.len());
                prop_assert!(forth.low <= forth.value + 1e-12 && forth.value <= forth.high + 1e-12);
                prop_assert!((forth.after - forth.before - forth.value).abs() < 1e-12);
            }
            prop_assert_eq!(compared(&ranks), forth);
        }
    }
}
