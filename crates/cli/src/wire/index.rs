//! What `index` prints for a program.

use retriever::EffortRecall;
use serde::Serialize;
use storage_core::{IndexReport, IndexStatus};

#[derive(Debug, Serialize)]
pub(crate) struct IndexEffort {
    pub(crate) ef_search: u32,
    pub(crate) max_scan_tuples: u32,
}

#[derive(Debug, Serialize)]
pub(crate) struct Index {
    pub(crate) name: String,
    pub(crate) valid: bool,
    pub(crate) bytes: u64,
    /// Whether the server follows it for a search without a filter.
    pub(crate) used: bool,
    pub(crate) m: Option<u32>,
    pub(crate) ef_construction: Option<u32>,
    /// What was tuned.
    pub(crate) effort: Option<IndexEffort>,
    /// The measurement behind it.
    pub(crate) tuning: Option<serde_json::Value>,
}

/// `index status`, and what `build`, `rebuild` and `drop` leave.
#[derive(Debug, Serialize)]
pub(crate) struct Indexes {
    pub(crate) collection: String,
    pub(crate) extension: String,
    pub(crate) dimensions: u32,
    pub(crate) vectors: u64,
    pub(crate) memory_needed: u64,
    pub(crate) memory_allowed: u64,
    pub(crate) indexes: Vec<Index>,
    pub(crate) warnings: Vec<String>,
    /// Indexes that this command built.
    pub(crate) built: Vec<String>,
    /// Indexes that it dropped.
    pub(crate) dropped: Vec<String>,
}

impl Indexes {
    pub(crate) fn of(
        collection: &str,
        report: &IndexReport,
        built: Vec<String>,
        dropped: Vec<String>,
    ) -> Self {
        Self {
            collection: collection.to_owned(),
            extension: report.extension.clone(),
            dimensions: report.dimensions,
            vectors: report.vectors,
            memory_needed: report.memory_needed,
            memory_allowed: report.memory_allowed,
            indexes: report.indexes.iter().map(Index::of).collect(),
            warnings: report.warnings.clone(),
            built,
            dropped,
        }
    }
}

impl Index {
    fn of(status: &IndexStatus) -> Self {
        let tuning = status.tuning.as_deref();
        Self {
            name: status.name.clone(),
            valid: status.valid,
            bytes: status.bytes,
            used: status.used,
            m: status.plan.map(|plan| plan.neighbours),
            ef_construction: status.plan.map(|plan| plan.candidates),
            effort: status.effort.map(|effort| IndexEffort {
                ef_search: effort.candidates,
                max_scan_tuples: effort.visits,
            }),
            tuning: tuning.and_then(|text| serde_json::from_str(text).ok()),
        }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct TriedFilter {
    pub(crate) filter: String,
    pub(crate) recall: f64,
    /// Questions that got fewer entries than comparing every row gives.
    pub(crate) short: usize,
    /// Questions that the index answered; the server compared rows for the others.
    pub(crate) by_index: usize,
    pub(crate) ms: f64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Tried {
    pub(crate) ef_search: u32,
    pub(crate) max_scan_tuples: u32,
    pub(crate) recall: f64,
    pub(crate) filters: Vec<TriedFilter>,
}

impl Tried {
    pub(crate) fn of(measured: &EffortRecall) -> Self {
        let filters = measured.filters.iter().map(|filter| TriedFilter {
            filter: filter.filter.clone(),
            recall: filter.recall,
            short: filter.short,
            by_index: filter.by_index,
            ms: filter.mean.as_secs_f64() * 1e3,
        });
        Self {
            ef_search: measured.effort.candidates,
            max_scan_tuples: measured.effort.visits,
            recall: measured.worst(),
            filters: filters.collect(),
        }
    }
}

/// `index tune`.
#[derive(Debug, Serialize)]
pub(crate) struct Tuning {
    pub(crate) collection: String,
    pub(crate) index: String,
    pub(crate) target: f64,
    pub(crate) k: usize,
    pub(crate) queries: usize,
    pub(crate) reached: bool,
    /// Whether it is what searches use from now on.
    pub(crate) kept: bool,
    /// Every setting that was tried; the last one is the answer.
    pub(crate) tried: Vec<Tried>,
}
