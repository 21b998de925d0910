//! The shapes of `import --json`.

use serde::Serialize;
use storage_core::ImportFault;
use sync_engine::{ImportReport, ModelCheck, RollbackReport};

use super::Model;

/// `import`.
#[derive(Debug, Serialize)]
pub(crate) struct Import {
    pub(crate) dry_run: bool,
    /// Records by the source's own count.
    pub(crate) source_total: u64,
    /// Rows that were written, or would be.
    pub(crate) imported: u64,
    /// Records that were there already, bit for bit.
    pub(crate) skipped: u64,
    pub(crate) errors: Vec<Error>,
    pub(crate) lossy: bool,
    /// 0 to 1, of the source's own count.
    pub(crate) coverage: f64,
    /// Rows that were read back and compared with the source: all of them, unless `--no-verify`.
    pub(crate) spot_checks: u64,
    pub(crate) seconds: f64,
    pub(crate) replaced: u64,
    pub(crate) duplicates: u64,
    pub(crate) conflicts: u64,
    pub(crate) without_text: u64,
    pub(crate) gone: u64,
    /// Calls of the provider, to ask whether the vectors are of its model.
    pub(crate) requests: u64,
    pub(crate) store: String,
    pub(crate) bytes: u64,
    pub(crate) collections: Vec<Collection>,
}

/// One legacy collection.
#[derive(Debug, Serialize)]
pub(crate) struct Collection {
    pub(crate) collection: String,
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    pub(crate) location: String,
    pub(crate) metric: &'static str,
    /// What `import rollback` takes; null when nothing was written.
    pub(crate) run: Option<String>,
    pub(crate) source_total: u64,
    pub(crate) imported: u64,
    pub(crate) skipped: u64,
    pub(crate) replaced: u64,
    pub(crate) duplicates: u64,
    pub(crate) conflicts: u64,
    pub(crate) without_text: u64,
    pub(crate) gone: u64,
    pub(crate) errors: usize,
    pub(crate) coverage: f64,
    pub(crate) lossy: Option<String>,
    pub(crate) notes: Vec<String>,
    pub(crate) model: Option<Model>,
    /// `agrees`, `no text` or `not asked`.
    pub(crate) model_check: &'static str,
    /// Least cosine between the source's vectors and the provider's.
    pub(crate) model_cosine: Option<f64>,
    pub(crate) embed_text: Option<String>,
    pub(crate) verified: Option<Verified>,
    pub(crate) generation: Option<u64>,
    pub(crate) resumed: bool,
    pub(crate) seconds: Seconds,
}

#[derive(Debug, Serialize)]
pub(crate) struct Verified {
    pub(crate) rows: u64,
    pub(crate) differing: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Seconds {
    pub(crate) migrate: f64,
    pub(crate) store: f64,
    pub(crate) verify: f64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Error {
    pub(crate) id: Option<String>,
    pub(crate) row: Option<u64>,
    pub(crate) reason: String,
    pub(crate) collection: String,
}

impl Error {
    fn of(fault: &ImportFault, collection: &str) -> Self {
        Self {
            id: fault.id.clone(),
            row: fault.row,
            reason: fault.reason.clone(),
            collection: collection.to_owned(),
        }
    }
}

impl Import {
    #[allow(clippy::cast_precision_loss, reason = "row counts are far below 2^52")]
    pub(crate) fn of(reports: &[ImportReport], dry_run: bool, store: String) -> Self {
        let sum = |count: fn(&ImportReport) -> u64| reports.iter().map(count).sum::<u64>();
        let source_total = sum(|report| report.source_total);
        let served = sum(|report| report.added + report.replaced + report.unchanged);
        Self {
            dry_run,
            source_total,
            imported: sum(|report| report.added + report.replaced),
            skipped: sum(|report| report.unchanged),
            errors: reports
                .iter()
                .flat_map(|report| {
                    let errors = report.faults.iter();
                    errors.map(|fault| Error::of(fault, report.collection.as_str()))
                })
                .collect(),
            lossy: reports.iter().any(|report| report.lossy.is_some()),
            coverage: match source_total {
                0 => 1.0,
                total => (served as f64 / total as f64).min(1.0),
            },
            spot_checks: sum(|report| report.verified.as_ref().map_or(0, |verified| verified.rows)),
            seconds: 0.0,
            replaced: sum(|report| report.replaced),
            duplicates: sum(|report| report.duplicates),
            conflicts: sum(|report| report.conflicts),
            without_text: sum(|report| report.without_text),
            gone: sum(|report| report.gone),
            requests: sum(|report| report.requests),
            store,
            bytes: 0,
            collections: reports.iter().map(Collection::of).collect(),
        }
    }
}

impl Collection {
    fn of(report: &ImportReport) -> Self {
        let (model_check, model_cosine) = match report.check {
            ModelCheck::Agrees { least, .. } => ("agrees", Some(least)),
            ModelCheck::NoText => ("no text", None),
            ModelCheck::NotAsked => ("not asked", None),
        };
        Self {
            collection: report.collection.to_string(),
            kind: report.kind,
            name: report.name.clone(),
            location: report.location.clone(),
            metric: report.metric.as_str(),
            run: report.applied.then(|| report.run.to_string()),
            source_total: report.source_total,
            imported: report.added + report.replaced,
            skipped: report.unchanged,
            replaced: report.replaced,
            duplicates: report.duplicates,
            conflicts: report.conflicts,
            without_text: report.without_text,
            gone: report.gone,
            errors: report.faults.len(),
            coverage: report.coverage(),
            lossy: report.lossy.clone(),
            notes: report.notes.clone(),
            model: report
                .model
                .as_ref()
                .map(|model| Model::unversioned(model, &report.provider)),
            model_check,
            model_cosine,
            embed_text: report
                .embed_text
                .as_ref()
                .map(|recipe| recipe.as_str().to_owned()),
            verified: report.verified.as_ref().map(|verified| Verified {
                rows: verified.rows,
                differing: verified.differing,
            }),
            generation: report.generation.map(|generation| generation.0),
            resumed: report.resumed,
            seconds: Seconds {
                migrate: report.seconds.migrate,
                store: report.seconds.store,
                verify: report.seconds.verify,
            },
        }
    }
}

/// `import rollback`.
#[derive(Debug, Serialize)]
pub(crate) struct Rollback {
    pub(crate) dry_run: bool,
    pub(crate) removed: u64,
    pub(crate) restored: u64,
    /// Ids of rows that others wrote since.
    pub(crate) left: Vec<String>,
    pub(crate) runs: Vec<Undone>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Undone {
    pub(crate) run: String,
    pub(crate) collection: String,
    pub(crate) removed: u64,
    pub(crate) restored: u64,
    pub(crate) left: usize,
    pub(crate) generation: Option<u64>,
}

impl Rollback {
    pub(crate) fn of(reports: &[RollbackReport], dry_run: bool) -> Self {
        Self {
            dry_run,
            removed: reports.iter().map(|report| report.removed).sum(),
            restored: reports.iter().map(|report| report.restored).sum(),
            left: reports
                .iter()
                .flat_map(|report| &report.left)
                .map(|key| key.document.clone())
                .collect(),
            runs: reports
                .iter()
                .map(|report| Undone {
                    run: report.run.to_string(),
                    collection: report.collection.to_string(),
                    removed: report.removed,
                    restored: report.restored,
                    left: report.left.len(),
                    generation: report.generation.map(|generation| generation.0),
                })
                .collect(),
        }
    }
}
