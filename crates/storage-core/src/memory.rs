//! A store of plain maps: the reference every backend is compared with, and the fallback when no place on disk can
//! be had. It owns no policy of its own and never survives its process.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt};

use crate::{
    Applied, CacheStats, Canaries, Canary, CategoryCount, ChangeSet, CollectionName,
    CollectionStatus, ContentHash, Document, DocumentKey, Embedding, EmbeddingRecord,
    EmbeddingSpace, EmbeddingStore, Filter, Fingerprint, Freed, Generation, InputHash,
    IntegrityReport, KeptVector, RecordHash, Result, RunId, RunRecord, Source, SourceId, SpaceId,
    Spend, StoreBytes, StoreError, StoreErrorKind, StoreStatus, StoredVector, Timestamp, UndoRow,
    VectorKey, Version, VersionId, VersionNote, VersionState, metadata_to_json,
};

mod apply;
mod check;
mod undo;
mod vectors;
mod versions;

/// Keeps everything in memory, for tests and as a fallback.
#[derive(Default)]
pub struct MemoryStore {
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    generation: u64,
    spaces: BTreeMap<SpaceId, EmbeddingSpace>,
    canaries: BTreeMap<SpaceId, Canaries>,
    collections: BTreeMap<CollectionName, Collection>,
    vectors: BTreeMap<VectorKey, Vector>,
    runs: BTreeMap<RunId, RunRecord>,
}

/// Cheap to clone: the rows are shared. `apply` works on a clone and swaps it in whole.
#[derive(Clone, Default)]
struct Collection {
    generation: u64,
    active: Option<VersionId>,
    previous: Option<VersionId>,
    versions: BTreeMap<VersionId, Version>,
    rows: BTreeMap<DocumentKey, Arc<StoredRow>>,
    sources: BTreeMap<SourceId, Source>,
    /// What runs replaced, by run; `None` for a row that the run created.
    undo: BTreeMap<RunId, BTreeMap<DocumentKey, Option<Kept>>>,
}

#[derive(Clone)]
struct StoredRow {
    document: Document,
    record: RecordHash,
    /// The run that wrote it last.
    run: RunId,
    vectors: BTreeMap<VersionId, VectorKey>,
}

/// A row as it was.
#[derive(Clone)]
struct Kept {
    row: Arc<StoredRow>,
    /// Whether nothing was put in its place.
    deleted: bool,
}

struct Vector {
    embedding: Embedding,
    checksum: ContentHash,
    stored_at: Timestamp,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    // A poisoned lock means a panic inside one of these short sections. They build aside and swap at the end, so
    // the maps are whole all the same.
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.read();
        f.debug_struct("MemoryStore")
            .field("generation", &state.generation)
            .field("collections", &state.collections.len())
            .field("vectors", &state.vectors.len())
            .finish()
    }
}

impl Collection {
    /// The rows with the name of their vector in a version, where they have one.
    fn vectors_of<'a>(
        &'a self,
        version: Option<&'a VersionId>,
    ) -> impl Iterator<Item = (&'a Arc<StoredRow>, Option<&'a VectorKey>)> {
        self.rows.values().map(move |row| {
            let vector = version.and_then(|version| row.vectors.get(version));
            (row, vector)
        })
    }

    /// The same for the active version.
    fn active_vectors(&self) -> impl Iterator<Item = (&Arc<StoredRow>, Option<&VectorKey>)> {
        self.vectors_of(self.active.as_ref())
    }

    fn status(&self, name: &CollectionName, state: &State) -> CollectionStatus {
        let mut categories: BTreeMap<Option<&String>, u64> = BTreeMap::new();
        for row in self.rows.values() {
            *categories
                .entry(row.document.category.as_ref())
                .or_default() += 1;
        }
        let documents: BTreeSet<&str> = self.rows.keys().map(|key| key.document.as_str()).collect();
        CollectionStatus {
            name: name.clone(),
            generation: Generation(self.generation),
            active: self.active.clone(),
            previous: self.previous.clone(),
            versions: self.listed(),
            records: self.rows.len() as u64,
            documents: documents.len() as u64,
            missing: self
                .active_vectors()
                .filter(|(_, vector)| {
                    !vector.is_some_and(|vector| state.vectors.contains_key(vector))
                })
                .count() as u64,
            categories: categories
                .into_iter()
                .map(|(category, records)| CategoryCount {
                    category: category.cloned(),
                    records,
                })
                .collect(),
        }
    }
}

impl State {
    fn referenced(&self) -> BTreeSet<&VectorKey> {
        let rows = self
            .collections
            .values()
            .flat_map(|collection| collection.rows.values())
            .flat_map(|row| row.vectors.values());
        rows.chain(self.collections.values().flat_map(Collection::kept_vectors))
            .collect()
    }

    /// Vectors that no row refers to, kept ones included, in spaces where nothing is being built.
    fn prunable(&self) -> impl Iterator<Item = (&VectorKey, &Vector)> {
        let referenced = self.referenced();
        let used: BTreeSet<&SpaceId> = self.spaces_in_use().collect();
        let building: BTreeSet<&SpaceId> = self
            .collections
            .values()
            .flat_map(|collection| collection.versions.values())
            .filter(|version| version.state == VersionState::Building)
            .map(|version| &version.space)
            .collect();
        self.vectors.iter().filter(move |(key, _)| {
            !referenced.contains(key) && used.contains(&key.space) && !building.contains(&key.space)
        })
    }
}

fn bytes_of(embedding: &Embedding) -> u64 {
    4 * u64::from(embedding.dimensions())
}

#[async_trait]
impl EmbeddingStore for MemoryStore {
    async fn status(&self) -> Result<StoreStatus> {
        let state = self.read();
        let mut spaces: Vec<_> = state.spaces.values().cloned().collect();
        spaces.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        Ok(StoreStatus {
            backend: "memory",
            store_id: "0".repeat(32),
            schema_version: 1,
            generation: Generation(state.generation),
            spaces,
            collections: state
                .collections
                .iter()
                .map(|(name, collection)| collection.status(name, &state))
                .collect(),
        })
    }

    async fn bytes(&self) -> Result<StoreBytes> {
        let state = self.read();
        let mut text = 0;
        for row in state
            .collections
            .values()
            .flat_map(|collection| collection.rows.values())
        {
            let document = &row.document;
            let fields = [
                Some(&document.title),
                Some(&document.body),
                document.category.as_ref(),
                document.subcategory.as_ref(),
            ];
            text += fields.into_iter().flatten().map(String::len).sum::<usize>();
            text += metadata_to_json(&document.metadata)?.len();
        }
        Ok(StoreBytes {
            file: 0,
            vectors: state
                .vectors
                .values()
                .map(|vector| bytes_of(&vector.embedding))
                .sum(),
            text: text as u64,
        })
    }

    async fn fingerprints(
        &self,
        collection: &CollectionName,
    ) -> Result<(Generation, Vec<Fingerprint>)> {
        let state = self.read();
        let Some(found) = state.collections.get(collection) else {
            return Ok((Generation(0), Vec::new()));
        };
        let fingerprints = found
            .active_vectors()
            .map(|(row, vector)| Fingerprint {
                key: row.document.key.clone(),
                source: row.document.source.clone(),
                record: row.record,
                vector: vector.cloned(),
                locator: row.document.locator.clone(),
            })
            .collect();
        Ok((Generation(found.generation), fingerprints))
    }

    async fn documents(&self, keys: &[DocumentKey]) -> Result<Vec<Document>> {
        let state = self.read();
        let keys: BTreeSet<_> = keys.iter().collect();
        Ok(keys
            .into_iter()
            .filter_map(|key| state.collections.get(&key.collection)?.rows.get(key))
            .map(|row| row.document.clone())
            .collect())
    }

    async fn sources(&self, collection: &CollectionName) -> Result<Vec<Source>> {
        let state = self.read();
        Ok(state
            .collections
            .get(collection)
            .map(|found| found.sources.values().cloned().collect())
            .unwrap_or_default())
    }

    fn scan(
        &self,
        collection: &CollectionName,
        version: Option<&VersionId>,
        filter: Filter,
    ) -> BoxStream<'static, Result<EmbeddingRecord>> {
        let state = self.read();
        let mut rows = Vec::new();
        let found = state.collections.get(collection);
        if let Some(version) = version
            && !found.is_some_and(|found| found.versions.contains_key(version))
        {
            let error = versions::unknown("scan", version);
            return stream::iter([Err(error)]).boxed();
        }
        let mut lacking = StoreErrorKind::Corrupt;
        if let Some(found) = found {
            let version = version.or(found.active.as_ref());
            if version != found.active.as_ref() {
                lacking = StoreErrorKind::Model;
            }
            for (row, vector) in found.vectors_of(version) {
                let embedding = vector
                    .and_then(|vector| state.vectors.get(vector))
                    .map(|vector| vector.embedding.clone());
                rows.push((Arc::clone(row), embedding));
            }
        }
        drop(state);
        let records = rows
            .into_iter()
            .filter(move |(row, _)| filter.matches(&row.document))
            .map(move |(row, embedding)| match embedding {
                Some(embedding) => Ok(EmbeddingRecord {
                    document: row.document.clone(),
                    embedding,
                }),
                None => Err(StoreError::new(
                    lacking,
                    "scan",
                    format!("a row has no vector: {}", row.document.key.document),
                )),
            });
        stream::iter(records).boxed()
    }

    async fn unbound(
        &self,
        collection: &CollectionName,
        version: &VersionId,
    ) -> Result<(Generation, Vec<DocumentKey>)> {
        let state = self.read();
        let Some(found) = state.collections.get(collection) else {
            return Ok((Generation(0), Vec::new()));
        };
        let keys = found
            .vectors_of(Some(version))
            .filter(|(_, vector)| vector.is_none())
            .map(|(row, _)| row.document.key.clone())
            .collect();
        Ok((Generation(found.generation), keys))
    }

    async fn bindings(
        &self,
        collection: &CollectionName,
        version: &VersionId,
    ) -> Result<(Generation, Vec<(DocumentKey, VectorKey)>)> {
        let state = self.read();
        let Some(found) = state.collections.get(collection) else {
            return Ok((Generation(0), Vec::new()));
        };
        let bindings = found
            .vectors_of(Some(version))
            .filter_map(|(row, vector)| Some((row.document.key.clone(), vector?.clone())))
            .collect();
        Ok((Generation(found.generation), bindings))
    }

    fn vectors(&self, space: &SpaceId) -> BoxStream<'static, Result<KeptVector>> {
        vectors::of_space(&self.read(), space)
    }

    async fn register_space(&self, space: &EmbeddingSpace) -> Result<()> {
        space.validate()?;
        let mut state = self.write();
        state
            .spaces
            .entry(space.id.clone())
            .or_insert_with(|| space.clone());
        Ok(())
    }

    async fn stored_vectors(
        &self,
        space: &SpaceId,
        inputs: &BTreeSet<InputHash>,
    ) -> Result<BTreeMap<InputHash, Option<ContentHash>>> {
        let state = self.read();
        // `None` sorts before every variant, so the first key of an input is the preferred one.
        Ok(inputs
            .iter()
            .filter_map(|input| {
                let from = VectorKey {
                    space: space.clone(),
                    input: *input,
                    variant: None,
                };
                let (key, _) = state.vectors.range(from..).next()?;
                (key.space == *space && key.input == *input).then_some((*input, key.variant))
            })
            .collect())
    }

    async fn put_embeddings(
        &self,
        batch: &[StoredVector],
        spend: &Spend,
        at: Timestamp,
    ) -> Result<()> {
        vectors::put(
            &mut self.write(),
            batch.iter().map(|vector| (vector, at)),
            Some(spend),
        )
    }

    async fn adopt(&self, batch: &[KeptVector], _run: &RunId) -> Result<()> {
        let vectors = batch.iter().map(|kept| (&kept.vector, kept.stored_at));
        vectors::put(&mut self.write(), vectors, None)
    }

    async fn apply(&self, changes: ChangeSet) -> Result<Applied> {
        apply::apply(&mut self.write(), &changes)
    }

    async fn annotate(
        &self,
        collection: &CollectionName,
        version: &VersionId,
        note: VersionNote<'_>,
    ) -> Result<()> {
        versions::annotate(&mut self.write(), collection, version, note)
    }

    async fn delete_version(
        &self,
        collection: &CollectionName,
        version: &VersionId,
        abandoned: bool,
    ) -> Result<Freed> {
        versions::delete(&mut self.write(), collection, version, abandoned)
    }

    async fn canaries(&self, space: &SpaceId) -> Result<Canaries> {
        Ok(self.read().canaries.get(space).cloned().unwrap_or_default())
    }

    async fn record_canaries(&self, space: &SpaceId, new: &[Canary], at: Timestamp) -> Result<()> {
        versions::record_canaries(&mut self.write(), space, new, at)
    }

    async fn record_run(&self, run: &RunRecord) -> Result<()> {
        run.validate()?;
        self.write().runs.insert(run.id.clone(), run.clone());
        Ok(())
    }

    async fn runs(&self, collection: &CollectionName, limit: usize) -> Result<Vec<RunRecord>> {
        let state = self.read();
        let mut runs: Vec<_> = state
            .runs
            .values()
            .filter(|run| run.collection == *collection)
            .cloned()
            .collect();
        runs.sort_by(|a, b| (b.started_at, &b.id).cmp(&(a.started_at, &a.id)));
        runs.truncate(limit);
        Ok(runs)
    }

    async fn ledger(&self) -> Result<Vec<RunRecord>> {
        let mut runs: Vec<_> = self.read().runs.values().cloned().collect();
        runs.sort_by(|a, b| (a.started_at, &a.id).cmp(&(b.started_at, &b.id)));
        Ok(runs)
    }

    async fn cache_stats(&self) -> Result<CacheStats> {
        let state = self.read();
        let mut stats = CacheStats {
            vectors: state.vectors.len() as u64,
            ..CacheStats::default()
        };
        for (_, vector) in state.prunable() {
            stats.unreferenced += 1;
            stats.unreferenced_bytes += bytes_of(&vector.embedding);
            stats.oldest = Some(
                stats
                    .oldest
                    .map_or(vector.stored_at, |oldest| oldest.min(vector.stored_at)),
            );
        }
        Ok(stats)
    }

    async fn undo(
        &self,
        collection: &CollectionName,
        run: &RunId,
    ) -> Result<(Generation, Vec<UndoRow>)> {
        Ok(undo::rows(&self.read(), collection, run))
    }

    async fn prune(&self, stored_before: Timestamp) -> Result<u64> {
        let mut state = self.write();
        let doomed: Vec<_> = state
            .prunable()
            .filter(|(_, vector)| vector.stored_at < stored_before)
            .map(|(key, _)| key.clone())
            .collect();
        for key in &doomed {
            state.vectors.remove(key);
        }
        Ok(doomed.len() as u64)
    }

    async fn check(&self) -> Result<IntegrityReport> {
        Ok(check::check(&self.read()))
    }
}
