//! Versions of a collection, and what a space knows of its provider, as the model has them.

use std::collections::BTreeSet;

use storage_core::{
    Canaries, Canary, ChangeSet, CollectionName, DocumentKey, Freed, SpaceId, Timestamp, VectorKey,
    Version, VersionId, VersionNote, VersionState,
};

use super::model::{Collection, INVALID, MODEL, Model, Refused, Row, size};

impl Model {
    pub(super) fn annotate(
        &mut self,
        collection: &CollectionName,
        id: &VersionId,
        note: VersionNote<'_>,
    ) -> Result<(), Refused> {
        let collection = self.collections.get_mut(collection);
        let found = collection.and_then(|found| found.versions.get_mut(id));
        let found = found.ok_or_else(|| Refused::from([MODEL]))?;
        match note {
            VersionNote::Calibration(text) => found.calibration = Some(text.to_owned()),
            VersionNote::Evaluation(text) => found.evaluation = Some(text.to_owned()),
        }
        Ok(())
    }

    /// What only this version needed goes; the last version of a space takes everything of it along.
    pub(super) fn delete_version(
        &mut self,
        name: &CollectionName,
        id: &VersionId,
        abandoned: bool,
    ) -> Result<Freed, Refused> {
        let collection = self.collections.get_mut(name);
        let Some((collection, version)) = collection.and_then(|found| {
            let version = found.versions.get(id).cloned()?;
            Some((found, version))
        }) else {
            return Err(Refused::from([MODEL]));
        };
        let serves = [&collection.active, &collection.previous].contains(&&Some(id.clone()));
        if serves || (version.state == VersionState::Building && !abandoned) {
            return Err(Refused::from([INVALID]));
        }
        collection.versions.remove(id);
        let let_go: BTreeSet<VectorKey> = collection
            .rows
            .values_mut()
            .filter_map(|row| row.vectors.remove(id))
            .collect();
        let unused = !self.is_used(&version.space);
        if unused {
            self.spaces.remove(&version.space);
            self.canaries.remove(&version.space);
        }
        let needed: BTreeSet<VectorKey> = self.needed().into_iter().cloned().collect();
        let mut freed = Freed::default();
        self.vectors.retain(|key, (numbers, _)| {
            let asked = let_go.contains(key) || (unused && key.space == version.space);
            let goes = asked && !needed.contains(key);
            freed.vectors += u64::from(goes);
            freed.bytes += if goes { size(numbers) } else { 0 };
            !goes
        });
        Ok(freed)
    }

    pub(super) fn canaries(&self, space: &SpaceId) -> Canaries {
        self.canaries.get(space).cloned().unwrap_or_default()
    }

    pub(super) fn record_canaries(
        &mut self,
        id: &SpaceId,
        new: &[Canary],
        at: Timestamp,
    ) -> Result<(), Refused> {
        let space = self.spaces.get(id);
        let length = space.map(|space| space.model.dimensions.get());
        if length.is_none()
            || new
                .iter()
                .any(|one| Some(one.embedding.dimensions()) != length)
        {
            return Err(Refused::from([MODEL]));
        }
        let kept = self.canaries.entry(id.clone()).or_default();
        kept.checked_at = Some(at);
        for canary in new {
            if kept.texts.iter().all(|known| known.text != canary.text) {
                kept.texts.push(canary.clone());
            }
        }
        kept.texts.sort_by_key(|canary| canary.text.clone());
        Ok(())
    }
}

impl Collection {
    /// The pointer, and what it makes of the versions.
    pub(super) fn promote(&mut self, changes: &ChangeSet) {
        for named in changes.complete.iter().chain(&changes.activate) {
            if let Some(version) = self.versions.get_mut(named) {
                version.state = VersionState::Ready;
            }
        }
        let Some(version) = changes.activate.clone() else {
            return;
        };
        if self.active.as_ref() == Some(&version) {
            return;
        }
        let forgotten = self.previous.take();
        self.previous = self.active.replace(version);
        for (id, version) in &mut self.versions {
            if forgotten.as_ref() == Some(id) && self.active.as_ref() != Some(id) {
                version.state = VersionState::Retired;
            }
        }
    }

    pub(super) fn unbound(&self, version: &VersionId) -> Vec<DocumentKey> {
        let lacking = |row: &&Row| !row.vectors.contains_key(version);
        let keys = self.rows.values().filter(lacking);
        keys.map(|row| row.document.key.clone()).collect()
    }

    /// Oldest first, with the rows that each serves.
    pub(super) fn listed(&self) -> Vec<Version> {
        let mut listed: Vec<Version> = self.versions.values().cloned().collect();
        for version in &mut listed {
            version.records = (self.rows.len() - self.unbound(&version.id).len()) as u64;
        }
        listed.sort_by_key(|version| version.created_at);
        listed
    }
}
