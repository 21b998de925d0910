//! How hard an approximate index must look to find what comparing every row finds.
//!
//! Recall is the share of the exact answer's documents that the index finds too, or others of an equal score, over all
//! questions. It falls where a filter leaves few rows, so it is measured for each filter, and the worst of them counts.

use std::time::{Duration, Instant};

use storage_core::{
    CollectionName, Effort, Embedding, Filter, FoundBy, NearestNeighbours, NearestQuery, Result,
    VersionId,
};

use crate::nearest;

/// Candidates that are tried, least first. The server takes no more than the last.
pub const CANDIDATES: [u32; 10] = [20, 40, 64, 100, 150, 200, 300, 400, 700, 1000];
/// Rows that a filtered search may visit, least first: the server's own limit, then more.
pub const VISITS: [u32; 3] = [20_000, 100_000, 1_000_000];

/// Rows that take part in one measurement.
#[derive(Debug, Clone, PartialEq)]
pub struct TrialFilter {
    /// What it is called in reports.
    pub name: String,
    /// Rows by what is in them.
    pub filter: Filter,
    /// About one row in so many, where only their share matters.
    pub one_in: Option<u32>,
}

/// What is measured.
#[derive(Debug, Clone)]
pub struct Trial<'a> {
    /// Of which collection.
    pub collection: &'a CollectionName,
    /// In which version.
    pub version: &'a VersionId,
    /// Questions.
    pub queries: &'a [Embedding],
    /// Filters: recall is measured under each.
    pub filters: &'a [TrialFilter],
    /// Documents a question asks for.
    pub top_k: usize,
    /// Recall to reach under every filter.
    pub target: f64,
}

/// One filter under one setting.
#[derive(Debug, Clone, PartialEq)]
pub struct FilterRecall {
    /// The filter's name.
    pub filter: String,
    /// Share of the exact answers' documents that were found.
    pub recall: f64,
    /// Questions that got fewer documents than the exact search gave.
    pub short: usize,
    /// Questions that the index answered; the server compared every row for the others.
    pub by_index: usize,
    /// Mean time of a question.
    pub mean: Duration,
}

/// What was measured under one setting.
#[derive(Debug, Clone, PartialEq)]
pub struct EffortRecall {
    /// The setting.
    pub effort: Effort,
    /// Filter by filter.
    pub filters: Vec<FilterRecall>,
}

impl EffortRecall {
    /// The worst filter's recall.
    #[must_use]
    pub fn worst(&self) -> f64 {
        self.filters
            .iter()
            .map(|filter| filter.recall)
            .fold(1.0, f64::min)
    }
}

/// Tries settings from the least on, and stops at the first that reaches the target under every filter. The last one
/// tried is the last of the answer, whether it reached the target or not.
///
/// # Errors
/// Those of [`NearestNeighbours::find`].
pub async fn tune(
    store: &dyn NearestNeighbours,
    trial: &Trial<'_>,
    progress: &(dyn Fn(&EffortRecall) + Send + Sync),
) -> Result<Vec<EffortRecall>> {
    let mut right = Vec::with_capacity(trial.filters.len());
    for filter in trial.filters {
        let mut answers = Vec::with_capacity(trial.queries.len());
        for query in trial.queries {
            answers.push(ask(store, trial, filter, query, None).await?.0);
        }
        right.push(answers);
    }
    let mut tried: Vec<EffortRecall> = Vec::new();
    // A wider search mends what few candidates miss; a longer one mends what a filter leaves out. Both are tried, the
    // cheap one first.
    for visits in VISITS {
        for candidates in CANDIDATES {
            let effort = Effort { candidates, visits };
            let measured = measure(store, trial, &right, effort).await?;
            progress(&measured);
            let worst = measured.worst();
            tried.push(measured);
            if worst >= trial.target {
                return Ok(tried);
            }
        }
        // More visits change nothing where no filter is short of rows.
        let last = tried.last();
        if last.is_some_and(|last| last.filters.iter().all(|filter| filter.short == 0)) {
            break;
        }
    }
    Ok(tried)
}

async fn measure(
    store: &dyn NearestNeighbours,
    trial: &Trial<'_>,
    right: &[Vec<Vec<f32>>],
    effort: Effort,
) -> Result<EffortRecall> {
    let mut filters = Vec::with_capacity(trial.filters.len());
    for (filter, answers) in trial.filters.iter().zip(right) {
        let (mut hits, mut wanted, mut short, mut by_index) = (0usize, 0usize, 0, 0);
        let started = Instant::now();
        for (query, answer) in trial.queries.iter().zip(answers) {
            let (found, found_by) = ask(store, trial, filter, query, Some(effort)).await?;
            by_index += usize::from(matches!(found_by, FoundBy::Index(_)));
            short += usize::from(found.len() < answer.len());
            wanted += answer.len();
            // As good as the worst right answer is right: which of several equal rows comes last is no merit.
            let least = answer.last().copied().unwrap_or(f32::INFINITY);
            hits += found.iter().filter(|score| **score >= least).count();
        }
        let questions = u32::try_from(trial.queries.len())
            .unwrap_or(u32::MAX)
            .max(1);
        filters.push(FilterRecall {
            filter: filter.name.clone(),
            recall: share(hits, wanted),
            short,
            by_index,
            mean: started.elapsed() / questions,
        });
    }
    Ok(EffortRecall { effort, filters })
}

/// The scores of the documents found, best first, by comparing every row where no effort is named.
async fn ask(
    store: &dyn NearestNeighbours,
    trial: &Trial<'_>,
    filter: &TrialFilter,
    query: &Embedding,
    effort: Option<Effort>,
) -> Result<(Vec<f32>, FoundBy)> {
    let asked = NearestQuery {
        collection: trial.collection.clone(),
        version: Some(trial.version.clone()),
        vector: query.clone(),
        top_k: trial.top_k,
        filter: filter.filter.clone(),
        one_in: filter.one_in,
        exact: effort.is_none(),
        effort,
    };
    let found = nearest::ask(store, &asked, None).await?;
    let hits = found.searched.hits.into_iter();
    Ok((hits.map(|hit| hit.score).collect(), found.found_by))
}

#[allow(
    clippy::cast_precision_loss,
    reason = "counts of documents are far below 2^52"
)]
fn share(hits: usize, wanted: usize) -> f64 {
    if wanted == 0 {
        1.0
    } else {
        hits as f64 / wanted as f64
    }
}
