//! From which score on a hit is an answer.
//!
//! Questions that no entry answers still find something, at some score. The threshold is the least one that leaves all
//! but an allowed share of them without an answer. It lies between observed scores; a score equal to it is an answer,
//! as in [`SearchOptions`](crate::SearchOptions).
//!
//! What a threshold does to the questions that it was chosen by is no promise about others, so the share of false
//! answers comes with a bound that holds for questions drawn from the same source in 95 of 100 calibrations:
//! Clopper & Pearson's (1934) upper limit for the allowed number of false answers. That the threshold was chosen by the
//! very same scores does not spoil it: the share beyond an order statistic has this limit whatever the distribution
//! (Wilks, "Determination of sample sizes for setting tolerance limits", 1941). Ties only make it wider than needed.

use std::fmt;

use crate::chance::binomial_at_most;

/// Fewer questions of a kind than this say nothing: one more or less would move every share by over a tenth.
pub const LEAST_QUESTIONS: usize = 10;
/// One calibration in twenty may have bad luck.
const BAD_LUCK: f64 = 0.05;

/// A threshold, and what it does to the questions that it was chosen by.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    /// Lowest score that is an answer.
    pub threshold: f32,
    /// Share of questions without an answer that may get one.
    pub max_false_answers: f64,
    /// Questions that an entry answers.
    pub answerable: usize,
    /// Those of them that still get an answer.
    pub answered: usize,
    /// Those of them whose best hit is right.
    pub right: usize,
    /// Questions that no entry answers.
    pub unanswerable: usize,
    /// Those of them that get an answer all the same.
    pub false_answers: usize,
    /// Upper 95 % confidence limit of the share of false answers.
    pub false_answers_at_most: f64,
    /// Chance that a question with an answer scores higher than one without (area under the ROC curve): 1 is perfect
    /// separation, 0.5 none.
    pub auroc: f64,
}

/// Why there is no threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum CalibrationError {
    /// The share is not from 0 to 1.
    Share(f64),
    /// There are too few questions without an answer.
    FewUnanswerable {
        /// That many were given.
        found: usize,
        /// That many, none of them answered, would show the share; none where no number can.
        proof: Option<usize>,
    },
    /// There are too few questions with an answer.
    FewAnswerable(usize),
    /// Only a threshold that silences every answer would do.
    Inseparable {
        /// The score that the threshold would have to exceed.
        silenced: f32,
        /// Chance that a question with an answer scores higher than one without.
        auroc: f64,
    },
}

impl fmt::Display for CalibrationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Share(share) => write!(
                f,
                "the share of false answers must be from 0 to 1 (or 0% to 100%), not {share}"
            ),
            Self::FewUnanswerable { found, proof } => {
                match found {
                    0 => write!(f, "no question lacks an answer")?,
                    found => write!(f, "only {found} questions lack an answer")?,
                }
                write!(
                    f,
                    " (`gold` left empty); at least {LEAST_QUESTIONS} are needed"
                )?;
                match proof {
                    Some(proof) if *proof > LEAST_QUESTIONS => write!(
                        f,
                        ", and {proof} to show the share that was asked for with 95 % confidence"
                    ),
                    _ => Ok(()),
                }
            }
            Self::FewAnswerable(found) => write!(
                f,
                "only {found} questions have an answer; at least {LEAST_QUESTIONS} are needed"
            ),
            Self::Inseparable { silenced, auroc } => write!(
                f,
                "no threshold separates them: questions without an answer score up to {silenced:.4}, and no question \
                 with one scores higher, so a threshold would silence every answer (AUROC {auroc:.3}, 0.5 is chance)"
            ),
        }
    }
}

impl std::error::Error for CalibrationError {}

/// Whether that many questions of either kind can say anything: known before any of them is asked, and paid for.
///
/// # Errors
/// Those of [`calibrate`] that depend on no score.
pub fn can_calibrate(
    answerable: usize,
    unanswerable: usize,
    max_false_answers: f64,
) -> Result<(), CalibrationError> {
    if !(0.0..=1.0).contains(&max_false_answers) {
        return Err(CalibrationError::Share(max_false_answers));
    }
    if unanswerable < LEAST_QUESTIONS {
        return Err(CalibrationError::FewUnanswerable {
            found: unanswerable,
            proof: questions_to_show(max_false_answers),
        });
    }
    if answerable < LEAST_QUESTIONS {
        return Err(CalibrationError::FewAnswerable(answerable));
    }
    Ok(())
}

/// Derives the least threshold at which at most that share of the questions without an answer gets one. `answerable`
/// are best scores with whether the best hit is right, `unanswerable` best scores.
///
/// # Errors
/// See [`CalibrationError`].
pub fn calibrate(
    answerable: &[(f32, bool)],
    unanswerable: &[f32],
    max_false_answers: f64,
) -> Result<Calibration, CalibrationError> {
    can_calibrate(answerable.len(), unanswerable.len(), max_false_answers)?;
    let mut silent = unanswerable.to_vec();
    silent.sort_unstable_by(|left, right| right.total_cmp(left));
    let allowed = allowed(max_false_answers, silent.len());
    let auroc = auroc(answerable, &silent);
    // The best score that must not be an answer.
    let threshold = match silent.get(allowed) {
        None => -1.0,
        Some(&silenced) => {
            let above = |score: &f32| score.total_cmp(&silenced).is_gt();
            if !answerable.iter().any(|(score, _)| above(score)) {
                return Err(CalibrationError::Inseparable { silenced, auroc });
            }
            let scores = answerable.iter().map(|(score, _)| *score);
            let next = scores
                .chain(silent.iter().copied())
                .filter(above)
                .min_by(f32::total_cmp);
            between(silenced, next.unwrap_or(silenced))
        }
    };
    let answers = answerable.iter().filter(|(score, _)| *score >= threshold);
    Ok(Calibration {
        threshold,
        max_false_answers,
        answerable: answerable.len(),
        answered: answers.clone().count(),
        right: answers.filter(|(_, right)| *right).count(),
        unanswerable: silent.len(),
        false_answers: silent.iter().filter(|score| **score >= threshold).count(),
        false_answers_at_most: upper_limit(allowed, silent.len()),
        auroc,
    })
}

/// How many questions without an answer, all left without one, show that the share is at most that with 95 %
/// confidence; none where no number can.
#[must_use]
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a positive number; the largest count there is stands for any that is larger"
)]
pub fn questions_to_show(share: f64) -> Option<usize> {
    (share > 0.0).then(|| (BAD_LUCK.ln() / (-share).ln_1p()).ceil().max(1.0) as usize)
}

/// How many of them are at most that share.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "counts of questions are far below 2^52, the share is from 0 to 1"
)]
fn allowed(share: f64, count: usize) -> usize {
    let mut allowed = (share * count as f64) as usize;
    // 0.29 of 100 is 28.999…, yet 29 of 100 is 0.29.
    while allowed < count && (allowed + 1) as f64 / count as f64 <= share {
        allowed += 1;
    }
    allowed.min(count)
}

/// A number above the one and not above the other, near their middle: the shortest of at least four decimals, for it
/// is read, and typed, by people.
#[allow(
    clippy::cast_possible_truncation,
    reason = "what rounding does is checked before the number is taken"
)]
fn between(low: f32, high: f32) -> f32 {
    let middle = f64::midpoint(f64::from(low), f64::from(high));
    let fits = |number: &f32| *number > low && *number <= high;
    (4..=9)
        .map(|decimals| {
            let scale = 10f64.powi(decimals);
            ((middle * scale).round() / scale) as f32
        })
        .find(fits)
        .unwrap_or(high)
}

/// The chance at which so few false answers, or fewer, would have been bad luck (Clopper & Pearson).
fn upper_limit(false_answers: usize, count: usize) -> f64 {
    if false_answers >= count {
        return 1.0;
    }
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if binomial_at_most(false_answers, count, middle) > BAD_LUCK {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// Of all pairs of a question with and one without an answer, the share in which the first scores higher; a tie is
/// half a pair (Mann & Whitney 1947). `silent` is sorted, best first.
#[allow(
    clippy::cast_precision_loss,
    reason = "counts of questions are far below 2^52"
)]
fn auroc(answerable: &[(f32, bool)], silent: &[f32]) -> f64 {
    let halves: usize = answerable
        .iter()
        .map(|(score, _)| {
            let better = silent.partition_point(|other| other > score);
            let not_worse = silent.partition_point(|other| other >= score);
            2 * (silent.len() - not_worse) + (not_worse - better)
        })
        .sum();
    halves as f64 / (2 * answerable.len() * silent.len()) as f64
}

#[cfg(test)]
mod tests;
