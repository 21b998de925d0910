//! Copies a whole store into another, whatever either is made of, without one call of an embedder.
//!
//! Vectors come first, by content and in batches, invisible and durable: a copy that was cut off goes on where it
//! stopped. Then each collection becomes visible in one transaction. A source that is written to meanwhile is caught
//! up with; what was copied is compared with it at the end, bit for bit.

mod collection;
mod plan;
mod vectors;

use std::collections::BTreeSet;

use storage_core::{
    CollectionName, CollectionStatus, EmbeddingStore, Generation, RunId, StoreError,
    StoreErrorKind, StoreStatus, Timestamp,
};

use crate::diff::{self, Depth, DiffOptions, Side, StoreDifference};
use crate::{SyncError, SyncErrorKind};

pub use plan::{CopyPlan, PlannedCollection, plan_copy};

/// How often a copy catches up with a source that is written to.
const ROUNDS: usize = 5;

/// Rows of a collection that a failed comparison names.
const ROWS: usize = 1_000;

/// What to copy, and how.
#[derive(Debug, Clone)]
pub struct CopyOptions {
    /// Only these collections, with the vectors that their rows refer to.
    pub collections: Option<BTreeSet<CollectionName>>,
    /// Whether the source is checked first, and the copy compared with it at the end.
    pub verify: bool,
    /// The run that the target notes beside what it is given.
    pub run: RunId,
    /// When.
    pub at: Timestamp,
}

/// What was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// Collections of the copy.
    pub collections: u64,
    /// Rows in them.
    pub rows: u64,
    /// Vector spaces.
    pub spaces: u64,
    /// Versions of the collections.
    pub versions: u64,
    /// Lines of the ledger.
    pub runs: u64,
    /// Vectors that were written.
    pub vectors: u64,
    /// Vectors that the target had already.
    pub vectors_there: u64,
    /// Bytes of the vectors that were written.
    pub bytes: u64,
    /// The generation of the source that was copied.
    pub source: Generation,
    /// The generation of the target afterwards.
    pub target: Generation,
    /// How often the source was gone through: more than once where it was written to meanwhile.
    pub rounds: usize,
    /// How the copy differs from the source; `None` when they were not compared.
    pub difference: Option<StoreDifference>,
}

/// Hears how a copy gets on. Every method has an empty default; none may block.
pub trait CopyProgress: Send + Sync {
    /// The source is about to be checked.
    fn checking(&self) {}
    /// So many vectors are about to be gone through.
    fn vectors(&self, _total: u64) {}
    /// So many more vectors are in the target.
    fn copied(&self, _vectors: u64) {}
    /// Vectors are complete; a collection is about to become visible.
    fn applying(&self, _collection: &CollectionName, _rows: u64) {}
    /// The source was written to meanwhile; the difference comes next.
    fn moved(&self) {}
    /// Both stores are about to be compared.
    fn comparing(&self) {}
}

/// Hears and says nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct QuietCopy;

impl CopyProgress for QuietCopy {}

/// The two stores and what is wanted of them.
#[derive(Clone, Copy)]
struct Copying<'a> {
    source: &'a dyn EmbeddingStore,
    target: &'a dyn EmbeddingStore,
    options: &'a CopyOptions,
    progress: &'a dyn CopyProgress,
}

/// Whether a step saw the source as it was when the round began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Done,
    Moved,
}

/// Copies everything that `source` holds into `target`.
///
/// # Errors
/// `Occupied` when the target is the source, or holds other rows under the name of a collection: nothing is written
/// then. `Selection` when a collection that was named is not there. `Store(Corrupt)` when the source is damaged.
/// `Conflict` when the source or the target does not stand still. Whatever was stored stays; running it again goes on
/// from there.
pub async fn copy(
    source: &dyn EmbeddingStore,
    target: &dyn EmbeddingStore,
    options: &CopyOptions,
    progress: &dyn CopyProgress,
) -> Result<Copied, SyncError> {
    let copying = Copying {
        source,
        target,
        options,
        progress,
    };
    let plan = plan_copy(source, target, options).await?;
    if options.verify {
        progress.checking();
        require_sound(source).await?;
    }
    // What this copy may change afterwards: it wrote it, so a source that moves on can be followed.
    let mut ours: BTreeSet<CollectionName> = plan.to_write().cloned().collect();
    let mut report = copying.empty_report();
    for round in 1..=ROUNDS {
        report.rounds = round;
        let status = source.status().await?;
        report.source = status.generation;
        if round > 1 {
            progress.moved();
            // A collection that appeared meanwhile must not meet one that the target has had all along.
            let plan = plan::plan(&copying, &status, &ours).await?;
            ours.extend(plan.to_write().cloned());
        }
        if copying.round(&status, &ours, &mut report).await? == Step::Moved {
            continue;
        }
        if options.verify {
            progress.comparing();
            let difference = compare(source, target, &status, options).await?;
            let moved = source.status().await?.generation != status.generation;
            if !difference.is_equal() && moved {
                continue;
            }
            report.difference = Some(difference);
        }
        report.target = target.status().await?.generation;
        return Ok(report);
    }
    Err(SyncError::new(
        SyncErrorKind::Conflict,
        format!(
            "the source was written to each of the {ROUNDS} times it was gone through; what was copied stays: run the \
             command again when its writer is done"
        ),
    ))
}

impl Copying<'_> {
    fn empty_report(&self) -> Copied {
        Copied {
            collections: 0,
            rows: 0,
            spaces: 0,
            versions: 0,
            runs: 0,
            vectors: 0,
            vectors_there: 0,
            bytes: 0,
            source: Generation(0),
            target: Generation(0),
            rounds: 0,
            difference: None,
        }
    }

    /// Goes through the source once, as it was at `status`.
    async fn round(
        &self,
        status: &StoreStatus,
        ours: &BTreeSet<CollectionName>,
        report: &mut Copied,
    ) -> Result<Step, SyncError> {
        let scope = scope(status, self.options);
        let spaces = self.spaces(status).await?;
        if self.copy_vectors(status, &spaces, report).await? == Step::Moved {
            return Ok(Step::Moved);
        }
        report.runs = self.copy_runs(&scope).await?;
        for collection in &scope {
            if ours.contains(&collection.name)
                && self.copy_collection(collection).await? == Step::Moved
            {
                return Ok(Step::Moved);
            }
        }
        report.spaces = spaces.len() as u64;
        report.collections = scope.len() as u64;
        report.rows = scope.iter().map(|collection| collection.records).sum();
        let versions = scope.iter().map(|collection| collection.versions.len());
        report.versions = versions.sum::<usize>() as u64;
        match self.source.status().await?.generation == status.generation {
            true => Ok(Step::Done),
            false => Ok(Step::Moved),
        }
    }

    /// The ledger: what was paid, and for what.
    async fn copy_runs(&self, scope: &[&CollectionStatus]) -> Result<u64, SyncError> {
        let there = self.target.ledger().await?;
        let mut runs = self.source.ledger().await?;
        if self.options.collections.is_some() {
            runs.retain(|run| {
                scope
                    .iter()
                    .any(|collection| collection.name == run.collection)
            });
        }
        for run in &runs {
            if !there.contains(run) {
                self.target.record_run(run).await?;
            }
        }
        Ok(runs.len() as u64)
    }
}

/// The collections that are copied.
fn scope<'a>(status: &'a StoreStatus, options: &CopyOptions) -> Vec<&'a CollectionStatus> {
    let wanted = |collection: &&CollectionStatus| {
        options
            .collections
            .as_ref()
            .is_none_or(|names| names.contains(&collection.name))
    };
    status.collections.iter().filter(wanted).collect()
}

/// Compares the copy with the source. What the target holds besides is its own.
async fn compare(
    source: &dyn EmbeddingStore,
    target: &dyn EmbeddingStore,
    status: &StoreStatus,
    options: &CopyOptions,
) -> Result<StoreDifference, SyncError> {
    let compared = DiffOptions {
        collections: options.collections.clone(),
        depth: Depth::Contained,
        rows: ROWS,
    };
    let mut difference = diff::diff(source, target, &compared).await?;
    difference
        .collections
        .retain(|found| found.side != Side::B || status.collection(&found.name).is_some());
    Ok(difference)
}

async fn require_sound(source: &dyn EmbeddingStore) -> Result<(), SyncError> {
    let report = source.check().await?;
    let Some(fault) = report.checks.iter().find(|check| !check.ok) else {
        return Ok(());
    };
    Err(StoreError::new(
        StoreErrorKind::Corrupt,
        "copy",
        format!(
            "the store to copy from has faults, nothing was copied: {}: {} (found {}, expected {}); see all of \
             them with `smart-support validate`, and put it right as that says (a SQLite store with `smart-support \
             repair`)",
            fault.name, fault.detail, fault.found, fault.expected
        ),
    )
    .into())
}
