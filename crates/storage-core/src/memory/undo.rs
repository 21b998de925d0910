//! What runs replaced: kept as the rows that were, since maps share them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Collection, Kept, State, StoredRow};
use crate::{
    Binding, ChangeSet, CollectionName, DocumentKey, Generation, Row, RunId, UndoPolicy, UndoRow,
    VectorKey,
};

/// Keeps a row that a change takes out of the maps, if the change keeps and the row is not its run's own.
pub(super) fn keep(
    collection: &mut Collection,
    changes: &ChangeSet,
    row: Arc<StoredRow>,
    deleted: bool,
) {
    if changes.undo != UndoPolicy::Keep {
        return;
    }
    let key = row.document.key.clone();
    let kept = collection.undo.entry(changes.run.clone()).or_default();
    if row.run != changes.run {
        let first = kept
            .entry(key)
            .or_default()
            .get_or_insert(Kept { row, deleted });
        first.deleted = deleted;
    } else if let Some(Some(kept)) = kept.get_mut(&key) {
        kept.deleted = deleted;
    }
}

/// Remembers which rows the run created, if the change keeps: all that are its own and took nobody's place.
pub(super) fn keep_created(collection: &mut Collection, changes: &ChangeSet) {
    if changes.undo != UndoPolicy::Keep {
        return;
    }
    let kept = collection.undo.entry(changes.run.clone()).or_default();
    for (key, row) in &collection.rows {
        if row.run == changes.run {
            kept.entry(key.clone()).or_default();
        }
    }
}

/// What was kept under the run that a change undoes.
pub(super) fn taken(
    collection: &mut Collection,
    changes: &ChangeSet,
) -> BTreeMap<DocumentKey, Option<Kept>> {
    match &changes.undo {
        UndoPolicy::Of(run) => collection.undo.remove(run).unwrap_or_default(),
        UndoPolicy::Forget | UndoPolicy::Keep => BTreeMap::new(),
    }
}

impl Collection {
    /// The vectors of kept rows, in versions that are still there.
    pub(super) fn kept_vectors(&self) -> impl Iterator<Item = &VectorKey> {
        self.undo
            .values()
            .flat_map(BTreeMap::values)
            .flatten()
            .flat_map(|kept| &kept.row.vectors)
            .filter(|(version, _)| self.versions.contains_key(*version))
            .map(|(_, vector)| vector)
    }
}

/// What undoing a run would do.
pub(super) fn rows(
    state: &State,
    name: &CollectionName,
    run: &RunId,
) -> (Generation, Vec<UndoRow>) {
    let Some(collection) = state.collections.get(name) else {
        return (Generation(0), Vec::new());
    };
    let nothing = BTreeMap::new();
    let kept = collection.undo.get(run).unwrap_or(&nothing);
    let written = collection.rows.values().filter(|row| row.run == *run);
    let keys: BTreeSet<&DocumentKey> = written
        .map(|row| &row.document.key)
        .chain(kept.keys())
        .collect();
    let told = keys.into_iter().filter_map(|key| {
        // A run that kept has kept of each of its rows, as the backends need it that can be damaged.
        let lost = !kept.is_empty() && !kept.contains_key(key);
        let kept = kept.get(key).and_then(Option::as_ref);
        let now = collection.rows.get(key);
        Some(UndoRow {
            key: key.clone(),
            replaced: kept.map(|kept| restorable(state, collection, &kept.row)),
            changed_since: match (now, kept) {
                (Some(now), _) => lost || now.run != *run,
                (None, Some(kept)) => !kept.deleted,
                (None, None) => return None,
            },
        })
    });
    (Generation(collection.generation), told.collect())
}

fn restorable(state: &State, collection: &Collection, row: &StoredRow) -> Row {
    let vectors = row
        .vectors
        .iter()
        .filter(|(version, vector)| {
            collection.versions.contains_key(*version) && state.vectors.contains_key(*vector)
        })
        .map(|(version, vector)| Binding {
            version: version.clone(),
            vector: vector.clone(),
        });
    Row::new(row.document.clone(), vectors.collect())
}
