//! Versions, their notes, and the canaries of their spaces.

use std::collections::BTreeSet;

use super::{Collection, State, bytes_of};
use crate::{
    Canaries, Canary, CollectionName, Freed, Result, SpaceId, StoreError, StoreErrorKind,
    Timestamp, VectorKey, Version, VersionId, VersionNote, VersionState,
};

pub(super) fn annotate(
    state: &mut State,
    collection: &CollectionName,
    version: &VersionId,
    note: VersionNote<'_>,
) -> Result<()> {
    let found = state
        .collections
        .get_mut(collection)
        .and_then(|found| found.versions.get_mut(version))
        .ok_or_else(|| unknown("annotate", version))?;
    match note {
        VersionNote::Calibration(text) => found.calibration = Some(text.to_owned()),
        VersionNote::Evaluation(text) => found.evaluation = Some(text.to_owned()),
    }
    Ok(())
}

pub(super) fn delete(
    state: &mut State,
    name: &CollectionName,
    id: &VersionId,
    abandoned: bool,
) -> Result<Freed> {
    const OPERATION: &str = "delete_version";
    let mut collection = state
        .collections
        .get(name)
        .cloned()
        .ok_or_else(|| unknown(OPERATION, id))?;
    let version = collection
        .versions
        .remove(id)
        .ok_or_else(|| unknown(OPERATION, id))?;
    let role = crate::rules::kept_for(
        collection.active.as_ref() == Some(id),
        collection.previous.as_ref() == Some(id),
        version.state == VersionState::Building && !abandoned,
    );
    if let Some(role) = role {
        return Err(StoreError::new(StoreErrorKind::Invalid, OPERATION, role));
    }
    let mut candidates: BTreeSet<VectorKey> = BTreeSet::new();
    for row in collection.rows.values_mut() {
        if row.vectors.contains_key(id) {
            candidates.extend(std::sync::Arc::make_mut(row).vectors.remove(id));
        }
    }
    state.collections.insert(name.clone(), collection);
    let space = version.space;
    let unused = !state.spaces_in_use().any(|used| *used == space);
    if unused {
        let all = state.vectors.keys().filter(|key| key.space == space);
        candidates = all.cloned().collect();
        state.spaces.remove(&space);
        state.canaries.remove(&space);
    }
    let referenced: BTreeSet<VectorKey> = state.referenced().into_iter().cloned().collect();
    let mut freed = Freed::default();
    for key in candidates.difference(&referenced) {
        if let Some(vector) = state.vectors.remove(key) {
            freed.vectors += 1;
            freed.bytes += bytes_of(&vector.embedding);
        }
    }
    Ok(freed)
}

pub(super) fn record_canaries(
    state: &mut State,
    id: &SpaceId,
    new: &[Canary],
    at: Timestamp,
) -> Result<()> {
    const OPERATION: &str = "record_canaries";
    let space = state.spaces.get(id).ok_or_else(|| {
        StoreError::new(
            StoreErrorKind::Model,
            OPERATION,
            format!("the vector space is not registered: {id}"),
        )
    })?;
    let expected = space.model.dimensions.get();
    crate::rules::check_canaries(new, expected)?;
    let kept: &mut Canaries = state.canaries.entry(id.clone()).or_default();
    kept.checked_at = Some(at);
    for canary in new {
        if !kept.texts.iter().any(|known| known.text == canary.text) {
            kept.texts.push(canary.clone());
        }
    }
    kept.texts.sort_by(|a, b| a.text.cmp(&b.text));
    Ok(())
}

impl State {
    pub(super) fn spaces_in_use(&self) -> impl Iterator<Item = &SpaceId> {
        self.collections
            .values()
            .flat_map(|collection| collection.versions.values())
            .map(|version| &version.space)
    }
}

impl Collection {
    /// The versions as readers see them, oldest first, with how many rows each serves.
    pub(super) fn listed(&self) -> Vec<Version> {
        let mut versions: Vec<Version> = self
            .versions
            .values()
            .map(|version| Version {
                records: self
                    .rows
                    .values()
                    .filter(|row| row.vectors.contains_key(&version.id))
                    .count() as u64,
                ..version.clone()
            })
            .collect();
        versions.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        versions
    }
}

pub(super) fn unknown(operation: &'static str, version: &VersionId) -> StoreError {
    StoreError::new(
        StoreErrorKind::Model,
        operation,
        format!("the collection has no such version: {version}"),
    )
}
