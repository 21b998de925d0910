//! The shapes of `--json`. Keys are part of the contract: more may be added, none renamed.

mod eval;
mod import;
mod index;
mod lint;
mod read_from;
mod running;
mod stores;

use std::collections::BTreeSet;
use std::path::Path;

use faq_source::SourceSnapshot;
use serde::Serialize;
use storage_core::{CopyReport, DamagedRow, IntegrityReport, RepairReport, RunRecord, StoreStatus};
use sync_engine::{FailedRow, SyncMode, SyncReport};

pub(crate) use eval::{Eval, Flips, Group, Miss};
pub(crate) use import::{Import, Rollback};
pub(crate) use index::{Indexes, Tried, Tuning};
pub(crate) use lint::{Lint, chunk};
pub(crate) use read_from::ReadFrom;
pub(crate) use running::{IndexState, RunningService};
pub(crate) use wire::{Hit, Model, Search, SearchMilliseconds, time};

pub(crate) use stores::{CopiedCounts, Diff, StoreCopy};

#[derive(Debug, Serialize)]
pub(crate) struct Failed {
    pub(crate) id: Option<String>,
    pub(crate) sheet: Option<String>,
    pub(crate) row: Option<u64>,
    pub(crate) column: Option<String>,
    pub(crate) reason: String,
}

impl From<&FailedRow> for Failed {
    fn from(row: &FailedRow) -> Self {
        Self {
            id: row.id.clone(),
            sheet: row.locator.sheet.clone(),
            row: row.locator.row,
            column: row.column.clone(),
            reason: row.reason.clone(),
        }
    }
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct Seconds {
    pub(crate) total: f64,
    pub(crate) read: f64,
    pub(crate) embed: f64,
    pub(crate) store: f64,
    pub(crate) verify: f64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Sync {
    pub(crate) mode: &'static str,
    pub(crate) collection: String,
    pub(crate) total: usize,
    pub(crate) new: usize,
    pub(crate) modified: usize,
    pub(crate) relabelled: usize,
    pub(crate) renamed: usize,
    pub(crate) deleted: usize,
    pub(crate) withheld: usize,
    pub(crate) unchanged: usize,
    pub(crate) failed: Vec<Failed>,
    pub(crate) embedded: usize,
    pub(crate) requests: u64,
    pub(crate) reused: usize,
    pub(crate) tokens: u64,
    /// USD, where the price is known.
    pub(crate) cost: Option<f64>,
    pub(crate) generation: u64,
    pub(crate) model: Option<Model>,
    pub(crate) seconds: Seconds,
    pub(crate) bytes: u64,
    pub(crate) store: String,
    pub(crate) coverage: f64,
    pub(crate) validation: Option<Validation>,
    pub(crate) degraded: Option<String>,
    /// With `--metadata-dir`: what was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) source: Option<SourceRead>,
    /// With `--dry-run`: distinct texts that would be sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) to_embed: Option<usize>,
    /// With `--dry-run`: what sending them would take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) estimate: Option<Estimate>,
    /// With `--plan-out`: the file that holds the plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) plan: Option<String>,
}

/// A source, as a report that is kept tells of it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct SourceRead {
    pub(crate) location: String,
    /// `xlsx`, `csv`, `jsonl`, `dataset`, …
    pub(crate) kind: String,
    /// Rows that could be read.
    pub(crate) rows: usize,
    pub(crate) columns: Vec<String>,
    /// BLAKE3 of the file's bytes; none where the source is no file.
    pub(crate) digest: Option<String>,
}

impl SourceRead {
    pub(crate) fn of(snapshot: &SourceSnapshot, digest: Option<String>) -> Self {
        let mut columns: BTreeSet<&str> = BTreeSet::new();
        for row in &snapshot.rows {
            let has = |name, value: bool| value.then_some(name);
            columns.extend(row.metadata.iter().map(|(column, _)| column));
            // The fields of a data set's row are columns of it already.
            if !snapshot.is_data_set() {
                let fields = [
                    has("id", row.id.is_some()),
                    has("question", !row.question.is_empty()),
                    has("answer", !row.answer.is_empty()),
                    has("category", row.category.is_some()),
                    has("subcategory", row.subcategory.is_some()),
                ];
                columns.extend(fields.into_iter().flatten());
            }
        }
        Self {
            location: snapshot.location.clone(),
            kind: snapshot.kind.clone(),
            rows: snapshot.entries(),
            columns: columns.into_iter().map(str::to_owned).collect(),
            digest,
        }
    }
}

/// What a run would take.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Estimate {
    pub(crate) texts: usize,
    pub(crate) requests: usize,
    pub(crate) tokens: u64,
    /// `tokenizer` or `estimate`.
    pub(crate) tokens_by: &'static str,
    /// USD, where the price is known.
    pub(crate) cost: Option<f64>,
    /// From beginning to end, where an earlier run tells.
    pub(crate) seconds: Option<f64>,
    /// That run.
    pub(crate) pace: Option<Pace>,
}

/// A run that tells how fast its like go.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Pace {
    pub(crate) run: String,
    pub(crate) texts: u64,
    pub(crate) requests: u64,
    pub(crate) seconds: f64,
}

impl Estimate {
    pub(crate) fn of(estimate: &sync_engine::Estimate, cost: Option<f64>) -> Self {
        Self {
            texts: estimate.texts,
            requests: estimate.requests,
            tokens: estimate.tokens,
            tokens_by: estimate.tokens_by.as_str(),
            cost,
            seconds: estimate.seconds,
            pace: estimate.pace.as_ref().map(|pace| Pace {
                run: pace.run.clone(),
                texts: pace.texts,
                requests: pace.requests,
                seconds: pace.seconds,
            }),
        }
    }
}

impl Sync {
    pub(crate) fn of(report: &SyncReport, collection: &str, store: String) -> Self {
        Self {
            mode: mode(report.mode),
            collection: collection.to_owned(),
            total: report.total,
            new: report.added,
            modified: report.modified,
            relabelled: report.relabelled + report.renamed,
            renamed: report.renamed,
            deleted: report.deleted,
            withheld: report.withheld,
            unchanged: report.unchanged,
            failed: report.failed.iter().map(Failed::from).collect(),
            embedded: report.embedded,
            requests: report.requests,
            reused: report.reused,
            tokens: report.tokens,
            cost: None,
            generation: report.generation.0,
            model: None,
            seconds: Seconds {
                embed: report.seconds.embed,
                store: report.seconds.store,
                ..Seconds::default()
            },
            bytes: 0,
            store,
            coverage: report.coverage(),
            validation: None,
            degraded: None,
            to_embed: None,
            estimate: None,
            source: None,
            plan: None,
        }
    }
}

pub(crate) fn mode(mode: SyncMode) -> &'static str {
    match mode {
        SyncMode::Initial => "initial",
        SyncMode::Incremental => "incremental",
        SyncMode::Forced => "forced",
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct Check {
    pub(crate) name: &'static str,
    pub(crate) ok: bool,
    pub(crate) detail: String,
    pub(crate) found: String,
    pub(crate) expected: String,
}

/// What one look of `doctor` came to.
#[derive(Debug, Serialize)]
pub(crate) struct Finding {
    pub(crate) name: &'static str,
    pub(crate) ok: bool,
    /// It could not be made; the detail says why.
    pub(crate) skipped: bool,
    pub(crate) detail: String,
    pub(crate) remedy: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Doctor {
    pub(crate) ok: bool,
    pub(crate) checks: Vec<Finding>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Validation {
    pub(crate) ok: bool,
    pub(crate) checks: Vec<Check>,
    /// With a source: what of it can be found, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) coverage: Option<f64>,
    /// With a source: ids that the store has no row or no vector of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) missing: Option<Vec<String>>,
    /// With a source: ids that the store has otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stale: Option<Vec<String>>,
}

impl From<&IntegrityReport> for Validation {
    fn from(report: &IntegrityReport) -> Self {
        let checks = report.checks.iter().map(|check| Check {
            name: check.name,
            ok: check.ok,
            detail: check.detail.clone(),
            found: check.found.clone(),
            expected: check.expected.clone(),
        });
        Self {
            ok: report.is_ok(),
            checks: checks.collect(),
            coverage: None,
            missing: None,
            stale: None,
        }
    }
}

/// `backup` and `restore`.
#[derive(Debug, Serialize)]
pub(crate) struct Copy {
    pub(crate) store: String,
    pub(crate) backup: String,
    pub(crate) bytes: u64,
    pub(crate) records: u64,
    pub(crate) vectors: u64,
    pub(crate) generation: u64,
    pub(crate) schema_version: u32,
    /// Migrations that a restored store still needs.
    pub(crate) pending: Vec<String>,
    pub(crate) validation: Option<Validation>,
    /// Whether the copy was put in its place.
    pub(crate) written: bool,
    /// Where `restore` keeps what was there.
    pub(crate) kept: Option<String>,
    pub(crate) seconds: f64,
}

impl Copy {
    pub(crate) fn of(report: &CopyReport, store: String, backup: &Path, seconds: f64) -> Self {
        Self {
            store,
            backup: backup.display().to_string(),
            bytes: report.bytes,
            records: report.records,
            vectors: report.vectors,
            generation: report.generation.0,
            schema_version: report.schema.current,
            pending: report.schema.pending.clone(),
            validation: report.validation.as_ref().map(Validation::from),
            written: report.published,
            kept: report.kept.as_ref().map(|path| path.display().to_string()),
            seconds,
        }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct Damaged {
    pub(crate) collection: String,
    pub(crate) id: String,
    pub(crate) chunk: u32,
    pub(crate) sheet: Option<String>,
    pub(crate) row: Option<u64>,
    pub(crate) reason: String,
}

impl From<&DamagedRow> for Damaged {
    fn from(row: &DamagedRow) -> Self {
        Self {
            collection: row.key.collection.to_string(),
            id: row.key.document.clone(),
            chunk: row.key.chunk,
            sheet: row.locator.sheet.clone(),
            row: row.locator.row,
            reason: row.reason.clone(),
        }
    }
}

/// `repair`.
#[derive(Debug, Serialize)]
pub(crate) struct Repair {
    pub(crate) store: String,
    pub(crate) dry_run: bool,
    /// Whether nothing was wrong in the first place.
    pub(crate) sound: bool,
    /// Whether the store was replaced.
    pub(crate) written: bool,
    /// What was wrong.
    pub(crate) found: Validation,
    pub(crate) records_kept: u64,
    pub(crate) records_lost: Vec<Damaged>,
    pub(crate) vectors_kept: u64,
    pub(crate) vectors_lost: u64,
    pub(crate) to_embed: Vec<Damaged>,
    pub(crate) recomputed: Vec<String>,
    pub(crate) validation: Option<Validation>,
    /// Where the damaged store is kept.
    pub(crate) kept: Option<String>,
    pub(crate) seconds: f64,
}

impl Repair {
    pub(crate) fn of(report: &RepairReport, store: String, dry_run: bool, seconds: f64) -> Self {
        let rows = |rows: &[DamagedRow]| rows.iter().map(Damaged::from).collect();
        Self {
            store,
            dry_run,
            sound: report.was_sound(),
            written: report.written,
            found: Validation::from(&report.found),
            records_kept: report.records_kept,
            records_lost: rows(&report.records_lost),
            vectors_kept: report.vectors_kept,
            vectors_lost: report.vectors_lost,
            to_embed: rows(&report.to_embed),
            recomputed: report.recomputed.clone(),
            validation: report.validation.as_ref().map(Validation::from),
            kept: report.kept.as_ref().map(|path| path.display().to_string()),
            seconds,
        }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct Collection {
    pub(crate) name: String,
    pub(crate) records: u64,
    pub(crate) categories: u64,
    pub(crate) documents: u64,
    pub(crate) missing: u64,
    pub(crate) generation: u64,
    pub(crate) model: Option<Model>,
    pub(crate) coverage: f64,
    pub(crate) records_by_category: Vec<Category>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Category {
    pub(crate) category: Option<String>,
    pub(crate) records: u64,
}

impl Collection {
    pub(crate) fn all(status: &StoreStatus) -> Vec<Self> {
        let of = |collection: &storage_core::CollectionStatus| Self {
            name: collection.name.to_string(),
            records: collection.records,
            categories: collection
                .categories
                .iter()
                .filter(|count| count.category.is_some())
                .count() as u64,
            documents: collection.documents,
            missing: collection.missing,
            generation: collection.generation.0,
            model: Model::active(status, &collection.name),
            coverage: share(
                collection.records - collection.missing.min(collection.records),
                collection.records,
            ),
            records_by_category: collection
                .categories
                .iter()
                .map(|count| Category {
                    category: count.category.clone(),
                    records: count.records,
                })
                .collect(),
        };
        status.collections.iter().map(of).collect()
    }
}

/// A share from 0 to 1; of nothing, everything.
#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub(crate) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        1.0
    } else {
        part as f64 / whole as f64
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct Bytes {
    pub(crate) file: u64,
    pub(crate) vectors: u64,
    pub(crate) text: u64,
    pub(crate) cache: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Status {
    pub(crate) store: String,
    pub(crate) store_origin: String,
    pub(crate) backend: &'static str,
    pub(crate) schema_version: u32,
    pub(crate) generation: u64,
    pub(crate) model: Option<Model>,
    pub(crate) collections: Vec<Collection>,
    pub(crate) bytes: Bytes,
    /// Who changes the store at this moment.
    pub(crate) writer: Option<String>,
    /// The newest line of the ledger.
    pub(crate) last_run: Option<Run>,
    /// With replicas, or on one: which of them was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) read_from: Option<ReadFrom>,
    pub(crate) degraded: Option<String>,
    /// With `--service`: whether a running service serves what its store holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) service: Option<RunningService>,
}

/// What a run was for, how it ended, and what it cost.
#[derive(Debug, Serialize)]
pub(crate) struct Run {
    pub(crate) id: String,
    pub(crate) kind: &'static str,
    pub(crate) state: &'static str,
    pub(crate) requests: u64,
    pub(crate) texts: u64,
    pub(crate) tokens: u64,
    pub(crate) started_at: String,
    pub(crate) finished_at: Option<String>,
}

impl Run {
    pub(crate) fn of(run: &RunRecord) -> Self {
        Self {
            id: run.id.to_string(),
            kind: run.kind.as_str(),
            state: run.state.as_str(),
            requests: run.requests,
            texts: run.texts,
            tokens: run.tokens,
            started_at: time(run.started_at),
            finished_at: run.finished_at.map(time),
        }
    }
}
