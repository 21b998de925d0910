use proptest::prelude::*;

use super::*;

fn near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 5e-4, "{found} {expected}");
}

fn right(scores: &[f32]) -> Vec<(f32, bool)> {
    scores.iter().map(|score| (*score, true)).collect()
}

#[test]
fn limits_are_those_of_the_tables() {
    // One-sided 95 % limits of Clopper and Pearson.
    near(upper_limit(0, 10), 0.2589);
    near(upper_limit(1, 10), 0.3942);
    near(upper_limit(0, 100), 0.0295);
    near(upper_limit(2, 100), 0.0616);
    near(upper_limit(10, 10), 1.0);
    assert_eq!(questions_to_show(0.02), Some(149));
    assert!(upper_limit(0, 149) <= 0.02 && upper_limit(0, 148) > 0.02);
    assert_eq!(
        (questions_to_show(0.0), questions_to_show(1.0)),
        (None, Some(1))
    );
}

#[test]
fn the_threshold_lies_between_scores_and_equal_ones_are_answers() {
    let answerable = right(&[0.9, 0.8, 0.8, 0.7, 0.6, 0.5, 0.5, 0.5, 0.5, 0.5]);
    let unanswerable = [0.6, 0.55, 0.5, 0.4, 0.4, 0.4, 0.3, 0.3, 0.3, 0.3];
    let none = calibrate(&answerable, &unanswerable, 0.0).unwrap();
    // 0.6 is silenced, on both sides; 0.7 is the next score.
    assert!((none.threshold - 0.65).abs() < 1e-6);
    assert_eq!((none.answered, none.right, none.false_answers), (4, 4, 0));
    near(none.false_answers_at_most, 0.2589);
    let one = calibrate(&answerable, &unanswerable, 0.1).unwrap();
    assert!((one.threshold - 0.575).abs() < 1e-6);
    assert_eq!((one.answered, one.false_answers), (5, 1));
    near(one.false_answers_at_most, 0.3942);
    let all = calibrate(&answerable, &unanswerable, 1.0).unwrap();
    assert!((all.threshold + 1.0).abs() < 1e-6);
    assert_eq!((all.answered, all.false_answers), (10, 10));
}

#[test]
fn neighbouring_floats_still_have_a_threshold() {
    let low = 0.8f32;
    let high = low.next_up();
    assert!(between(low, high) > low && between(low, high) <= high);
    assert!((between(0.8, 0.9) - 0.85).abs() < 1e-6);
}

#[test]
fn a_share_of_29_in_100_allows_29() {
    assert_eq!(allowed(0.29, 100), 29);
    assert_eq!((allowed(0.02, 49), allowed(0.02, 50)), (0, 1));
    assert_eq!((allowed(0.0, 10), allowed(1.0, 10)), (0, 10));
}

#[test]
fn what_cannot_be_calibrated_is_refused() {
    let many = right(&[0.9; 10]);
    for share in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        let refused = calibrate(&many, &[0.1; 10], share);
        assert!(
            matches!(refused, Err(CalibrationError::Share(_))),
            "{refused:?}"
        );
    }
    let refused = calibrate(&many, &[], 0.02).unwrap_err();
    assert!(refused.to_string().contains("no question lacks an answer"));
    assert!(refused.to_string().contains("149"));
    let refused = calibrate(&many, &[0.1; 9], 0.0).unwrap_err().to_string();
    assert!(
        refused.contains("only 9") && !refused.contains("confidence"),
        "{refused}"
    );
    assert_eq!(
        calibrate(&many[..9], &[0.1; 10], 0.02),
        Err(CalibrationError::FewAnswerable(9))
    );
    // Equal best scores: the only threshold that silences the ones silences the others.
    let refused = calibrate(&many, &[0.9; 10], 0.02).unwrap_err();
    assert_eq!(
        refused,
        CalibrationError::Inseparable {
            silenced: 0.9,
            auroc: 0.5
        }
    );
    assert!(refused.to_string().contains("silence every answer"));
}

/// Scores on a coarse grid, so that many are equal.
fn scores() -> impl Strategy<Value = Vec<f32>> {
    prop::collection::vec((-20i8..=20).prop_map(|step| f32::from(step) / 20.0), 10..40)
}

proptest! {
    #[test]
    fn no_lower_threshold_would_do(
        answerable in scores(),
        unanswerable in scores(),
        right in prop::collection::vec(any::<bool>(), 40),
        percent in 0u8..=100,
    ) {
        let share = f64::from(percent) / 100.0;
        let pairs: Vec<_> = answerable.iter().copied().zip(right).collect();
        let share_of = |threshold: f32| {
            unanswerable.iter().filter(|score| **score >= threshold).count() as f64 / unanswerable.len() as f64
        };
        let mut observed: Vec<f32> = answerable.iter().chain(&unanswerable).copied().collect();
        observed.sort_by(f32::total_cmp);
        // Brute force: the lowest observed score that keeps the promise answers the same questions as any threshold
        // in the gap below it.
        let lowest = observed.iter().copied().find(|score| share_of(*score) <= share);
        let silences = lowest.is_none_or(|lowest| answerable.iter().all(|score| *score < lowest));
        match calibrate(&pairs, &unanswerable, share) {
            Ok(found) => {
                prop_assert!(!silences);
                let lowest = lowest.unwrap();
                prop_assert!(found.threshold <= lowest);
                let below = observed.iter().rev().find(|score| **score < lowest);
                prop_assert!(below.is_none_or(|below| found.threshold > *below));
                prop_assert!(share_of(found.threshold) <= share);
                let answered = pairs.iter().filter(|(score, _)| *score >= found.threshold);
                prop_assert_eq!(found.answered, answered.clone().count());
                prop_assert_eq!(found.right, answered.filter(|(_, right)| *right).count());
                prop_assert!(found.false_answers as f64 / unanswerable.len() as f64 <= found.false_answers_at_most);
            }
            Err(CalibrationError::Inseparable { .. }) => prop_assert!(silences),
            Err(other) => prop_assert!(false, "{}", other),
        }
    }

    #[test]
    fn auroc_counts_pairs(answerable in scores(), unanswerable in scores()) {
        let mut halves = 0u32;
        for with in &answerable {
            for without in &unanswerable {
                halves += if with > without { 2 } else { u32::from((with - without).abs() < 1e-9) };
            }
        }
        let mut sorted = unanswerable.clone();
        sorted.sort_by(|left, right| right.total_cmp(left));
        let pairs = right(&answerable);
        let expected = f64::from(halves) / 2.0 / (answerable.len() * unanswerable.len()) as f64;
        prop_assert!((auroc(&pairs, &sorted) - expected).abs() < 1e-12);
    }
}

/// The limit is a promise about other questions of the same source, although the threshold was chosen by these: drawn
/// often enough, it holds in 95 of 100 calibrations.
#[test]
fn the_limit_holds_for_questions_not_seen() {
    let mut random = crate::chance::Random::new(42);
    let mut draw = || random.below(1 << 20) as f32 / (1 << 20) as f32;
    let answerable = right(&[2.0; 10]);
    let (mut held, rounds) = (0, 2000);
    for _ in 0..rounds {
        let unanswerable: Vec<f32> = (0..60).map(|_| draw()).collect();
        let found = calibrate(&answerable, &unanswerable, 0.05).unwrap();
        // Scores are drawn evenly from 0 to 1, so the share beyond a threshold is known. The silenced score itself is
        // the worst place in the gap.
        let mut sorted = unanswerable;
        sorted.sort_by(|left, right| right.total_cmp(left));
        held += u32::from(f64::from(1.0 - sorted[3]) <= found.false_answers_at_most);
    }
    let share = f64::from(held) / f64::from(rounds);
    assert!((0.935..0.965).contains(&share), "{share}");
}
