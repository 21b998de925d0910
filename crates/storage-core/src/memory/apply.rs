//! One change set on a copy of one collection, swapped in when everything held.

use std::sync::Arc;

use super::{Collection, State, StoredRow};
use crate::{
    Applied, ChangeSet, DocumentKey, Generation, Result, Row, StoreError, StoreErrorKind,
    VectorKey, VersionId, VersionState,
};

pub(super) fn apply(state: &mut State, changes: &ChangeSet) -> Result<Applied> {
    changes.validate()?;
    let mut collection = state
        .collections
        .get(&changes.collection)
        .cloned()
        .unwrap_or_default();
    if collection.generation != changes.base.0 {
        return Err(StoreError::new(
            StoreErrorKind::Conflict,
            "apply",
            format!(
                "the collection is at generation {}, the change was planned on {}",
                collection.generation, changes.base.0
            ),
        ));
    }
    if let Some(source) = &changes.source {
        collection.sources.insert(source.id.clone(), source.clone());
    }
    // Deletes come first, so that one change can hand a document from one source to another.
    for key in &changes.deletes {
        collection.rows.remove(key);
    }
    for row in &changes.upserts {
        check_owner(&collection, row)?;
        let document = row.document();
        let stored = StoredRow {
            document: document.clone(),
            record: row.record(),
            vectors: row
                .vectors()
                .iter()
                .map(|vector| (vector.version.clone(), vector.clone()))
                .collect(),
        };
        for vector in row.vectors() {
            check_stored(state, &document.key, vector)?;
        }
        collection
            .rows
            .insert(document.key.clone(), Arc::new(stored));
    }
    for relocation in &changes.relocations {
        row_mut(&mut collection, &relocation.key)?.document.locator = relocation.locator.clone();
    }
    for (key, vector) in &changes.binds {
        check_stored(state, key, vector)?;
        row_mut(&mut collection, key)?
            .vectors
            .insert(vector.version.clone(), vector.clone());
    }
    collection.embed_text = changes.embed_text.as_str().to_owned();
    if let Some(version) = &changes.activate {
        if !state.versions.contains_key(version) {
            return Err(model(format!(
                "the embedding version is not registered: {version}"
            )));
        }
        if collection.active.as_ref() != Some(version) {
            collection.previous = collection.active.replace(version.clone());
        }
    }
    if let Some((row, _)) = collection
        .active_vectors()
        .find(|(_, vector)| vector.is_none())
    {
        return Err(model(format!(
            "a row would be left without a vector of the active version: {:?} chunk {}",
            row.document.key.document, row.document.key.chunk
        )));
    }
    collection.generation += 1;
    let generation = collection.generation;
    state
        .collections
        .insert(changes.collection.clone(), collection);
    state.generation += 1;
    settle_states(state, changes.activate.as_ref());
    Ok(Applied {
        collection: Generation(generation),
        store: Generation(state.generation),
    })
}

fn check_owner(collection: &Collection, row: &Row) -> Result<()> {
    let document = row.document();
    let first = DocumentKey {
        chunk: 0,
        ..document.key.clone()
    };
    let other = collection
        .rows
        .range(first..)
        .take_while(|(key, _)| key.document == document.key.document)
        .find(|(_, row)| row.document.source != document.source);
    match other {
        Some((key, row)) => Err(invalid(format!(
            "a document belongs to another source: {:?} to {}",
            key.document, row.document.source
        ))),
        None => Ok(()),
    }
}

fn check_stored(state: &State, key: &DocumentKey, vector: &VectorKey) -> Result<()> {
    if state.vectors.contains_key(vector) {
        return Ok(());
    }
    Err(model(format!(
        "a row refers to a vector that is not stored: {:?} chunk {}",
        key.document, key.chunk
    )))
}

fn row_mut<'a>(collection: &'a mut Collection, key: &DocumentKey) -> Result<&'a mut StoredRow> {
    collection
        .rows
        .get_mut(key)
        .map(Arc::make_mut)
        .ok_or_else(|| {
            invalid(format!(
                "a change names a row that does not exist: {:?} chunk {}",
                key.document, key.chunk
            ))
        })
}

/// The version that is served becomes ready; one that no collection serves any longer is retired.
fn settle_states(state: &mut State, activated: Option<&VersionId>) {
    if activated.is_none() {
        return;
    }
    for (id, version) in &mut state.versions {
        let serves = |collection: &Collection| collection.active.as_ref() == Some(id);
        if state.collections.values().any(serves) {
            version.state = VersionState::Ready;
        } else if state
            .collections
            .values()
            .any(|collection| collection.previous.as_ref() == Some(id))
        {
            version.state = VersionState::Retired;
        }
    }
}

fn invalid(message: String) -> StoreError {
    StoreError::new(StoreErrorKind::Invalid, "apply", message)
}

fn model(message: String) -> StoreError {
    StoreError::new(StoreErrorKind::Model, "apply", message)
}
