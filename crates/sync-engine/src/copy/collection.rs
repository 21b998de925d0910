//! One collection: its versions while nobody sees a row, then all rows in one transaction.

use std::collections::{BTreeMap, VecDeque};

use storage_core::{
    ChangeSet, CollectionStatus, Document, DocumentKey, EmbedText, Generation, RecordHash, Row,
    Source, StoreError, StoreErrorKind, Timestamp, UndoPolicy, Version, VersionId, VersionNote,
    VersionSpec, VersionState,
};

use super::plan::{Known, rows};
use super::{Copying, Step};
use crate::SyncError;

/// Rows that are read at once.
const BATCH: usize = 512;

impl Copying<'_> {
    /// Makes the target's collection what the source's is at `status`.
    pub(super) async fn copy_collection(
        &self,
        status: &CollectionStatus,
    ) -> Result<Step, SyncError> {
        let Some(wanted) = rows(self.source, status).await? else {
            return Ok(Step::Moved);
        };
        let mut sources = self.new_sources(status).await?;
        let mut generation = self.prepare_versions(status, &mut sources).await?;
        let held = self.held(status).await?;
        let mut keys: Vec<&Known> = wanted.iter().collect();
        keys.retain(|row| held.get(&row.print.key) != Some(row));
        let Some(upserts) = self.read_rows(status, &keys).await? else {
            return Ok(Step::Moved);
        };
        let mut gone = held;
        for row in &wanted {
            gone.remove(&row.print.key);
        }
        // A source a transaction: all but the last one before anybody sees a row.
        while sources.len() > 1 {
            let changes = self.change(status, generation, sources.pop_front());
            generation = self.target.apply(changes).await?.collection;
        }
        let there = self.target.status().await?;
        let served = there
            .collection(&status.name)
            .map(|found| found.active.clone());
        let mut changes = self.change(status, generation, sources.pop_front());
        changes.applied_at = self.options.at;
        changes.upserts = upserts;
        changes.deletes = gone.into_keys().collect();
        changes.activate = status.active.clone();
        let is_needed = changes.source.is_some()
            || !changes.upserts.is_empty()
            || !changes.deletes.is_empty()
            || served.as_ref() != Some(&status.active);
        if is_needed {
            self.progress
                .applying(&status.name, changes.upserts.len() as u64);
            generation = self.target.apply(changes).await?.collection;
        }
        self.complete_later(status, generation).await?;
        Ok(Step::Done)
    }

    fn change(
        &self,
        status: &CollectionStatus,
        base: Generation,
        source: Option<Source>,
    ) -> ChangeSet {
        ChangeSet {
            collection: status.name.clone(),
            base,
            source,
            upserts: Vec::new(),
            deletes: Vec::new(),
            relocations: Vec::new(),
            binds: Vec::new(),
            register: None,
            complete: None,
            activate: None,
            undo: UndoPolicy::Forget,
            run: self.options.run.clone(),
            applied_at: Timestamp(0),
        }
    }

    /// Sources that the target does not know as the source does.
    async fn new_sources(&self, status: &CollectionStatus) -> Result<VecDeque<Source>, SyncError> {
        let there = self.target.sources(&status.name).await?;
        let mut sources = self.source.sources(&status.name).await?;
        sources.retain(|source| !there.contains(source));
        Ok(sources.into())
    }

    /// The target's rows, by key.
    async fn held(
        &self,
        status: &CollectionStatus,
    ) -> Result<BTreeMap<DocumentKey, Known>, SyncError> {
        let there = self.target.status().await?;
        let Some(found) = there.collection(&status.name) else {
            return Ok(BTreeMap::new());
        };
        let rows = rows(self.target, found).await?.ok_or_else(|| {
            StoreError::new(
                StoreErrorKind::Conflict,
                "copy",
                "somebody else writes to the store to copy into",
            )
        });
        let rows = rows.map_err(SyncError::of_apply)?.into_iter();
        Ok(rows.map(|row| (row.print.key.clone(), row)).collect())
    }

    /// Registers the versions with their times and notes, and gives each the state it has in the source. While a
    /// collection has no rows every version of it is complete, so the pointer can be led along the way it went: first
    /// to what was retired, then to what a rollback would serve. Gives the target's generation.
    async fn prepare_versions(
        &self,
        status: &CollectionStatus,
        sources: &mut VecDeque<Source>,
    ) -> Result<Generation, SyncError> {
        let there = self.target.status().await?;
        let found = there.collection(&status.name);
        let mut generation = found.map_or(Generation(0), |found| found.generation);
        let fresh = found.is_none_or(|found| found.records == 0);
        let mut versions: Vec<&Version> = status.versions.iter().collect();
        // The version to be served comes last, and the one before it is what a rollback would serve.
        versions.sort_by_key(|version| {
            let id = Some(&version.id);
            (
                id == status.active.as_ref(),
                id == status.previous.as_ref(),
                version.created_at,
            )
        });
        for version in versions {
            let known = found.and_then(|found| found.version(&version.id));
            let mut changes = self.change(status, generation, None);
            changes.applied_at = version.created_at;
            if known.is_none() {
                changes.register = Some(spec(version)?);
            }
            if fresh {
                let led = led(status, version);
                let passed =
                    led && found.and_then(|found| found.active.as_ref()) != Some(&version.id);
                if passed {
                    changes.activate = Some(version.id.clone());
                } else if version.state != VersionState::Building
                    && status.active.as_ref() != Some(&version.id)
                    && known.is_none_or(|known| known.state == VersionState::Building)
                {
                    changes.complete = Some(version.id.clone());
                }
            }
            let says_something = changes.register.is_some()
                || changes.complete.is_some()
                || changes.activate.is_some();
            if says_something {
                // One source stays for the rows.
                if sources.len() > 1 {
                    changes.source = sources.pop_front();
                }
                generation = self.target.apply(changes).await?.collection;
            }
            let held = known.map(|known| (&known.calibration, &known.evaluation));
            self.annotate(status, version, held).await?;
        }
        Ok(generation)
    }

    async fn annotate(
        &self,
        status: &CollectionStatus,
        version: &Version,
        held: Option<(&Option<String>, &Option<String>)>,
    ) -> Result<(), SyncError> {
        let (calibration, evaluation) = held.unzip();
        let notes = [
            (
                &version.calibration,
                calibration,
                VersionNote::Calibration as fn(_) -> _,
            ),
            (&version.evaluation, evaluation, VersionNote::Evaluation),
        ];
        for (wanted, held, note) in notes {
            if let Some(text) = wanted
                && held != Some(wanted)
            {
                self.target
                    .annotate(&status.name, &version.id, note(text))
                    .await?;
            }
        }
        Ok(())
    }

    /// Versions that were completed while the copy caught up: only now they have their vectors.
    async fn complete_later(
        &self,
        status: &CollectionStatus,
        generation: Generation,
    ) -> Result<(), SyncError> {
        let there = self.target.status().await?;
        let found = there.collection(&status.name);
        let mut generation = generation;
        for version in &status.versions {
            let building = found
                .and_then(|found| found.version(&version.id))
                .is_some_and(|known| known.state == VersionState::Building);
            if building && version.state == VersionState::Ready {
                let mut changes = self.change(status, generation, None);
                changes.applied_at = self.options.at;
                changes.complete = Some(version.id.clone());
                generation = self.target.apply(changes).await?.collection;
            }
        }
        Ok(())
    }

    /// Reads these rows of the source; `None` when it has moved on.
    async fn read_rows(
        &self,
        status: &CollectionStatus,
        wanted: &[&Known],
    ) -> Result<Option<Vec<Row>>, SyncError> {
        let mut read = Vec::with_capacity(wanted.len());
        for batch in wanted.chunks(BATCH) {
            let keys: Vec<DocumentKey> = batch.iter().map(|row| row.print.key.clone()).collect();
            let documents = self.source.documents(&keys).await?;
            let fit = documents.len() == batch.len()
                && documents
                    .iter()
                    .zip(batch)
                    .all(|(document, row)| fits(document, row));
            if !fit {
                if crate::diff::generation(self.source, &status.name).await? != status.generation {
                    return Ok(None);
                }
                return Err(StoreError::new(
                    StoreErrorKind::Corrupt,
                    "copy",
                    format!(
                        "rows of collection {} do not match their hashes, and none of it was copied; run `smart-support \
                         repair` on the store to copy from",
                        status.name
                    ),
                )
                .into());
            }
            let rows = documents
                .into_iter()
                .zip(batch)
                .map(|(document, row)| Row::new(document, row.bindings.clone()));
            read.extend(rows);
        }
        let now = crate::diff::generation(self.source, &status.name).await?;
        Ok((now == status.generation).then_some(read))
    }
}

fn fits(document: &Document, row: &Known) -> bool {
    document.key == row.print.key
        && document.source == row.print.source
        && document.locator == row.print.locator
        && RecordHash::of(document) == row.print.record
}

/// Whether the pointer was led to this version and away again.
fn led(status: &CollectionStatus, version: &Version) -> bool {
    let is = |id: &Option<VersionId>| id.as_ref() == Some(&version.id);
    // Without a version to roll back to, the pointer cannot be led away without a trace.
    let passed = version.state == VersionState::Retired && status.previous.is_some();
    !is(&status.active) && (is(&status.previous) || passed)
}

fn spec(version: &Version) -> Result<VersionSpec, SyncError> {
    let damaged = || {
        let short = version.id.short();
        let message = format!(
            "the recipe of version {short} is damaged; run `smart-support repair` on its store"
        );
        StoreError::new(StoreErrorKind::Corrupt, "copy", message)
    };
    let embed_text =
        EmbedText::parse(&version.embed_text).map_err(|error| damaged().with_source(error))?;
    let spec = VersionSpec {
        space: version.space.clone(),
        embed_text,
    };
    match spec.id() == version.id {
        true => Ok(spec),
        false => Err(damaged().into()),
    }
}
