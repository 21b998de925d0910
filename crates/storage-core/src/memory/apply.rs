//! One change set on a copy of one collection, swapped in when everything held.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Collection, State, StoredRow, undo};
use crate::{
    Applied, Binding, ChangeSet, DocumentKey, Generation, Result, Row, StoreError, StoreErrorKind,
    Timestamp, Version, VersionId, VersionSpec, VersionState,
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
    if let Some(spec) = &changes.register {
        register(state, &mut collection, spec, changes.applied_at)?;
    }
    // Deletes come first, so that one change can hand a document from one source to another.
    let written: BTreeSet<&DocumentKey> = match changes.deletes.is_empty() {
        true => BTreeSet::new(),
        false => changes
            .upserts
            .iter()
            .map(|row| &row.document().key)
            .collect(),
    };
    for key in &changes.deletes {
        if let Some(row) = collection.rows.remove(key) {
            undo::keep(&mut collection, changes, row, !written.contains(key));
        }
    }
    let undone = undo::taken(&mut collection, changes);
    for row in &changes.upserts {
        check_owner(&collection, row)?;
        let document = row.document();
        let stored = StoredRow {
            document: document.clone(),
            record: row.record(),
            run: match undone.get(&document.key) {
                Some(Some(kept)) if kept.row.record == row.record() => kept.row.run.clone(),
                _ => changes.run.clone(),
            },
            vectors: row
                .vectors()
                .iter()
                .map(|binding| (binding.version.clone(), binding.vector.clone()))
                .collect(),
        };
        for binding in row.vectors() {
            check_binding(state, &collection, &document.key, binding)?;
        }
        let replaced = collection
            .rows
            .insert(document.key.clone(), Arc::new(stored));
        if let Some(replaced) = replaced {
            undo::keep(&mut collection, changes, replaced, false);
        }
    }
    undo::keep_created(&mut collection, changes);
    for relocation in &changes.relocations {
        row_mut(&mut collection, &relocation.key)?.document.locator = relocation.locator.clone();
    }
    for (key, binding) in &changes.binds {
        check_binding(state, &collection, key, binding)?;
        row_mut(&mut collection, key)?
            .vectors
            .insert(binding.version.clone(), binding.vector.clone());
    }
    for named in [&changes.complete, &changes.activate].into_iter().flatten() {
        let version = collection
            .versions
            .get_mut(named)
            .ok_or_else(|| unregistered(named))?;
        version.state = VersionState::Ready;
    }
    if let Some(version) = &changes.activate
        && collection.active.as_ref() != Some(version)
    {
        let passed = collection.previous.take();
        collection.previous = collection.active.replace(version.clone());
        let serving = [&collection.active, &collection.previous];
        if let Some(passed) = passed.filter(|passed| !serving.contains(&&Some(passed.clone())))
            && let Some(version) = collection.versions.get_mut(&passed)
        {
            version.state = VersionState::Retired;
        }
    }
    if collection.active.is_none() && !collection.rows.is_empty() {
        return Err(model(
            "a row would be left without a vector: the collection serves no version".to_owned(),
        ));
    }
    let served = [changes.complete.as_ref(), collection.active.as_ref()];
    for version in served.into_iter().flatten() {
        let mut rows = collection.vectors_of(Some(version));
        if let Some((row, _)) = rows.find(|(_, vector)| vector.is_none()) {
            return Err(model(format!(
                "a row would be left without a vector of version {}: {:?} chunk {}",
                version.short(),
                row.document.key.document,
                row.document.key.chunk
            )));
        }
    }
    collection.generation += 1;
    let generation = collection.generation;
    state
        .collections
        .insert(changes.collection.clone(), collection);
    state.generation += 1;
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

fn register(
    state: &State,
    collection: &mut Collection,
    spec: &VersionSpec,
    at: Timestamp,
) -> Result<()> {
    if !state.spaces.contains_key(&spec.space) {
        return Err(model(format!(
            "the vector space is not registered: {}",
            spec.space
        )));
    }
    let id = spec.id();
    collection
        .versions
        .entry(id.clone())
        .or_insert_with(|| Version {
            id,
            space: spec.space.clone(),
            embed_text: spec.embed_text.as_str().to_owned(),
            state: VersionState::Building,
            records: 0,
            calibration: None,
            evaluation: None,
            created_at: at,
        });
    Ok(())
}

fn check_binding(
    state: &State,
    collection: &Collection,
    key: &DocumentKey,
    binding: &Binding,
) -> Result<()> {
    let version = collection
        .versions
        .get(&binding.version)
        .ok_or_else(|| unregistered(&binding.version))?;
    if version.space != binding.vector.space {
        return Err(model(format!(
            "a vector lies in another space than version {}: {:?} chunk {}",
            version.id.short(),
            key.document,
            key.chunk
        )));
    }
    if state.vectors.contains_key(&binding.vector) {
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

fn unregistered(version: &VersionId) -> StoreError {
    model(format!("the version is not registered: {version}"))
}

fn invalid(message: String) -> StoreError {
    StoreError::new(StoreErrorKind::Invalid, "apply", message)
}

fn model(message: String) -> StoreError {
    StoreError::new(StoreErrorKind::Model, "apply", message)
}
