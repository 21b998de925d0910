//! Undoes an import: what it brought goes, what it replaced comes back, what others wrote since stays.

use storage_core::{
    ChangeSet, CollectionName, DocumentKey, EmbeddingStore, Generation, RunId, RunKind, RunRecord,
    StoreErrorKind, Timestamp, UndoPolicy, UndoRow,
};

use crate::ledger::{Ledger, Spent};
use crate::{SyncError, SyncErrorKind};

/// Runs that are named to somebody who asked for one that is not there.
const NAMED: usize = 5;

/// What undoing a run did, or would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollbackReport {
    /// The run that was undone.
    pub run: RunId,
    /// The collection it had filled.
    pub collection: CollectionName,
    /// Rows that it had brought, and that are gone.
    pub removed: u64,
    /// Rows that it had replaced, and that are as they were.
    pub restored: u64,
    /// Rows that somebody wrote since: they stay as they are.
    pub left: Vec<DocumentKey>,
    /// The collection's generation afterwards; `None` when nothing was written.
    pub generation: Option<Generation>,
}

/// Undoes a run in one transaction. Its vectors stay stored, unreferenced, so that importing again costs nothing.
///
/// # Errors
/// `Selection` when the ledger has no import of that name. `Conflict` and `Store` as in a sync. Nothing has changed then.
pub async fn rollback_import(
    store: &dyn EmbeddingStore,
    undone: &RunId,
    by: RunId,
    clock: &(dyn Fn() -> Timestamp + Send + Sync),
    dry_run: bool,
) -> Result<RollbackReport, SyncError> {
    let runs = store.ledger().await?;
    let line = runs
        .iter()
        .find(|line| line.id == *undone && line.kind == RunKind::Import)
        .ok_or_else(|| unknown(undone, &runs))?;
    let collection = line.collection.clone();
    let (base, rows) = store.undo(&collection, undone).await?;
    let mut report = RollbackReport {
        run: undone.clone(),
        collection: collection.clone(),
        removed: 0,
        restored: 0,
        left: Vec::new(),
        generation: None,
    };
    let (mut upserts, mut deletes) = (Vec::new(), Vec::new());
    for UndoRow {
        key,
        replaced,
        changed_since,
    } in rows
    {
        if changed_since {
            report.left.push(key);
            continue;
        }
        match replaced {
            Some(row) => {
                report.restored += 1;
                // The row may be another source's than the one that is there now: it goes, and the old one comes.
                deletes.push(key);
                upserts.push(row);
            }
            None => {
                report.removed += 1;
                deletes.push(key);
            }
        }
    }
    if dry_run || deletes.is_empty() {
        return Ok(report);
    }
    let ledger = Ledger::open(store, clock, by.clone(), RunKind::Import, &collection).await?;
    let changes = ChangeSet {
        collection,
        base,
        source: None,
        upserts,
        deletes,
        relocations: Vec::new(),
        binds: Vec::new(),
        register: None,
        complete: None,
        activate: None,
        undo: UndoPolicy::Of(undone.clone()),
        run: by,
        applied_at: clock(),
    };
    let applied = store.apply(changes).await.map_err(|error| {
        let what = match error.kind() {
            StoreErrorKind::Model => {
                "a row that would come back was never embedded by a version that the collection has had since; take that \
                 version away first (`smart-support model rollback`, `smart-support model delete VERSION`)"
            }
            StoreErrorKind::Invalid => {
                "a document that would come back in part belongs to another source now; take that source's rows away first"
            }
            _ => return SyncError::of_apply(error),
        };
        SyncError::of_apply(error).with_advice(what)
    });
    let applied = ledger.close(Spent::default(), applied).await?;
    report.generation = Some(applied.collection);
    Ok(report)
}

fn unknown(undone: &RunId, runs: &[RunRecord]) -> SyncError {
    let imports: Vec<&str> = runs
        .iter()
        .rev()
        .filter(|line| line.kind == RunKind::Import)
        .map(|line| line.id.as_str())
        .take(NAMED)
        .collect();
    let known = if imports.is_empty() {
        "the store knows no import at all".to_owned()
    } else {
        format!("the newest are {}", imports.join(", "))
    };
    SyncError::new(
        SyncErrorKind::Selection,
        format!("there is no import {undone} in this store's ledger; {known}"),
    )
}
