//! Exact search over stored vectors, and its evaluation.
//!
//! A score is the cosine of question and row, computed by one kernel whatever the store, so equal data gives equal
//! scores bit for bit. Ties are broken by key. Nothing here reads a clock or writes a store.

mod calibrate;
mod chance;
mod compare;
mod evaluate;
mod index;
mod kernel;
mod nearest;
mod predict;
mod product;
mod search;
mod top;
mod tune;

pub use calibrate::{
    Calibration, CalibrationError, LEAST_QUESTIONS, calibrate, can_calibrate, questions_to_show,
};
pub use compare::{BOOTSTRAP_SEED, Comparison, Difference, Flip, RESAMPLES, compare};
pub use evaluate::{Evaluation, GoldenQuery, GroupScore, Miss, Outcome, evaluate};
pub use index::{Drift, Entry, IndexedDocument, SearchIndex};
pub use kernel::{UnitQuery, cosine};
pub use nearest::{SearchedInside, search_inside};
pub use predict::{Citation, FailureMode, Prediction, predict};
pub use search::{Hit, SearchOptions, Searched, search_store};
pub use top::TopHits;
pub use tune::{CANDIDATES, EffortRecall, FilterRecall, Trial, TrialFilter, VISITS, tune};
