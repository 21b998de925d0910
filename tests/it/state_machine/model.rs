//! What a store is, said a second time and as plainly as possible: maps, loops, double precision. It shares the
//! vocabulary with the stores and none of their code.

use std::collections::{BTreeMap, BTreeSet};

use retriever::SearchOptions;
use storage_core::{
    Applied, Binding, CacheStats, Canaries, CategoryCount, ChangeSet, CollectionName,
    CollectionStatus, ContentHash, Document, DocumentKey, Embedding, EmbeddingRecord,
    EmbeddingSpace, Fingerprint, Generation, InputHash, RecordHash, RunRecord, Source, SourceId,
    SpaceId, Spend, StoreErrorKind, StoredVector, Timestamp, VectorKey, Version, VersionId,
    VersionState, metadata_to_json,
};

use super::operation::{CATEGORIES, Wanted};
use super::values::{cosine, text_of};

/// Every reason for which an operation may be refused; none when it must succeed.
pub(super) type Refused = BTreeSet<&'static str>;

#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) document: Document,
    pub(super) vectors: BTreeMap<VersionId, VectorKey>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Collection {
    pub(super) generation: u64,
    pub(super) active: Option<VersionId>,
    pub(super) previous: Option<VersionId>,
    /// Their counts of rows are not kept but counted.
    pub(super) versions: BTreeMap<VersionId, Version>,
    pub(super) rows: BTreeMap<DocumentKey, Row>,
    sources: BTreeMap<SourceId, Source>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Model {
    /// As the store said when it was new.
    pub(super) store_id: String,
    generation: u64,
    pub(super) spaces: BTreeMap<SpaceId, EmbeddingSpace>,
    pub(super) canaries: BTreeMap<SpaceId, Canaries>,
    pub(super) collections: BTreeMap<CollectionName, Collection>,
    pub(super) vectors: BTreeMap<VectorKey, (Embedding, Timestamp)>,
    runs: BTreeMap<storage_core::RunId, RunRecord>,
}

/// A kind's name, comparable and printable.
pub(super) fn name(kind: StoreErrorKind) -> &'static str {
    match kind {
        StoreErrorKind::Invalid => "invalid",
        StoreErrorKind::Model => "model",
        StoreErrorKind::Conflict => "conflict",
        _ => "none of the three",
    }
}

pub(super) const INVALID: &str = "invalid";
pub(super) const MODEL: &str = "model";
const CONFLICT: &str = "conflict";

impl Model {
    pub(super) fn register_space(&mut self, space: &EmbeddingSpace) {
        self.spaces
            .entry(space.id.clone())
            .or_insert_with(|| space.clone());
    }

    pub(super) fn put(
        &mut self,
        batch: &[StoredVector],
        spend: &Spend,
        at: Timestamp,
    ) -> Result<(), Refused> {
        for vector in batch {
            let fits = self
                .spaces
                .get(&vector.key.space)
                .is_some_and(|known| known.model.dimensions.get() == vector.embedding.dimensions());
            if !fits {
                return Err(Refused::from([MODEL]));
            }
        }
        for vector in batch {
            self.vectors
                .entry(vector.key.clone())
                .or_insert_with(|| (vector.embedding.clone(), at));
        }
        if let Some(run) = self.runs.get_mut(&spend.run) {
            run.requests += spend.requests;
            run.texts += spend.texts;
            run.tokens += spend.tokens;
        }
        Ok(())
    }

    pub(super) fn apply(&mut self, changes: &ChangeSet) -> Result<Applied, Refused> {
        let mut refused = wrong_by_itself(changes);
        let mut next = self
            .collections
            .get(&changes.collection)
            .cloned()
            .unwrap_or_default();
        if next.generation != changes.base.0 {
            refused.insert(CONFLICT);
        }
        if let Some(source) = &changes.source {
            next.sources.insert(source.id.clone(), source.clone());
        }
        if let Some(spec) = &changes.register {
            if self.spaces.contains_key(&spec.space) {
                let version = Version {
                    id: spec.id(),
                    space: spec.space.clone(),
                    embed_text: spec.embed_text.as_str().to_owned(),
                    state: VersionState::Building,
                    records: 0,
                    calibration: None,
                    evaluation: None,
                    created_at: changes.applied_at,
                };
                next.versions.entry(spec.id()).or_insert(version);
            } else {
                refused.insert(MODEL);
            }
        }
        let known = next.versions.clone();
        let can_be_bound = |binding: &Binding| {
            let version = known.get(&binding.version);
            version.is_some_and(|version| version.space == binding.vector.space)
                && self.vectors.contains_key(&binding.vector)
        };
        next.rows.retain(|key, _| !changes.deletes.contains(key));
        let kept = next.rows.clone();
        for row in &changes.upserts {
            let document = row.document();
            let taken = kept.values().any(|other| {
                other.document.key.document == document.key.document
                    && other.document.source != document.source
            });
            if taken {
                refused.insert(INVALID);
            }
            let mut vectors = BTreeMap::new();
            for binding in row.vectors() {
                if !can_be_bound(binding) {
                    refused.insert(MODEL);
                }
                vectors.insert(binding.version.clone(), binding.vector.clone());
            }
            let stored = Row {
                document: document.clone(),
                vectors,
            };
            next.rows.insert(document.key.clone(), stored);
        }
        for relocation in &changes.relocations {
            match next.rows.get_mut(&relocation.key) {
                Some(row) => row.document.locator = relocation.locator.clone(),
                None => drop(refused.insert(INVALID)),
            }
        }
        for (key, binding) in &changes.binds {
            if !can_be_bound(binding) {
                refused.insert(MODEL);
            }
            let (version, vector) = (binding.version.clone(), binding.vector.clone());
            match next.rows.get_mut(key) {
                Some(row) => drop(row.vectors.insert(version, vector)),
                None => drop(refused.insert(INVALID)),
            }
        }
        next.promote(changes);
        let whole = |version: &VersionId| {
            next.versions.contains_key(version) && next.unbound(version).is_empty()
        };
        let served = next.active.iter().chain(&changes.complete).all(whole);
        if !served || (next.active.is_none() && !next.rows.is_empty()) {
            refused.insert(MODEL);
        }
        if !refused.is_empty() {
            return Err(refused);
        }
        next.generation += 1;
        self.generation += 1;
        let applied = Applied {
            collection: Generation(next.generation),
            store: Generation(self.generation),
        };
        self.collections.insert(changes.collection.clone(), next);
        Ok(applied)
    }

    fn versions(&self) -> impl Iterator<Item = &Version> {
        self.collections
            .values()
            .flat_map(|one| one.versions.values())
    }

    /// Whether a collection has that version, and serves another one.
    pub(super) fn stands_beside(&self, collection: &CollectionName, version: &VersionId) -> bool {
        let found = self.collections.get(collection);
        found.is_some_and(|found| {
            found.versions.contains_key(version) && found.active.as_ref() != Some(version)
        })
    }

    pub(super) fn is_used(&self, space: &SpaceId) -> bool {
        self.versions().any(|version| version.space == *space)
    }

    pub(super) fn needed(&self) -> BTreeSet<&VectorKey> {
        let rows = self.collections.values().flat_map(|one| one.rows.values());
        rows.flat_map(|row| row.vectors.values()).collect()
    }

    fn needless(&self) -> Vec<(&VectorKey, &(Embedding, Timestamp))> {
        let needed = self.needed();
        let built = |space: &SpaceId| {
            self.versions()
                .any(|version| version.space == *space && version.state == VersionState::Building)
        };
        let free = |space| self.is_used(space) && !built(space);
        self.vectors
            .iter()
            .filter(|(key, _)| !needed.contains(key) && free(&key.space))
            .collect()
    }

    pub(super) fn prune(&mut self, before: Timestamp) -> u64 {
        let old = self.needless().into_iter();
        let old: Vec<VectorKey> = old
            .filter(|(_, (_, at))| *at < before)
            .map(|(key, _)| key.clone())
            .collect();
        for key in &old {
            self.vectors.remove(key);
        }
        old.len() as u64
    }

    pub(super) fn cache_stats(&self) -> CacheStats {
        let needless = self.needless();
        CacheStats {
            vectors: self.vectors.len() as u64,
            unreferenced: needless.len() as u64,
            unreferenced_bytes: needless.iter().map(|(_, (numbers, _))| size(numbers)).sum(),
            oldest: needless.iter().map(|(_, (_, at))| *at).min(),
        }
    }

    pub(super) fn record_run(&mut self, run: &RunRecord) {
        self.runs.insert(run.id.clone(), run.clone());
    }

    /// Newest first.
    pub(super) fn runs(&self, collection: &CollectionName) -> Vec<RunRecord> {
        let mut runs: Vec<RunRecord> = self.runs.values().cloned().collect();
        runs.retain(|run| run.collection == *collection);
        runs.sort_by_key(|run| (run.started_at, run.id.clone()));
        runs.reverse();
        runs
    }

    pub(super) fn generation(&self) -> Generation {
        Generation(self.generation)
    }

    pub(super) fn base(&self, collection: &CollectionName) -> Generation {
        let found = self.collections.get(collection);
        Generation(found.map_or(0, |found| found.generation))
    }

    /// Oldest first.
    pub(super) fn spaces(&self) -> Vec<EmbeddingSpace> {
        let mut spaces: Vec<EmbeddingSpace> = self.spaces.values().cloned().collect();
        spaces.sort_by_key(|space| space.created_at);
        spaces
    }

    pub(super) fn collections(&self) -> Vec<CollectionStatus> {
        let status = |(name, found): (&CollectionName, &Collection)| {
            let rows = || found.rows.values();
            let documents: BTreeSet<_> = rows().map(|row| &row.document.key.document).collect();
            let names: BTreeSet<_> = rows().map(|row| row.document.category.clone()).collect();
            let count = |category: &Option<String>| {
                rows()
                    .filter(|row| row.document.category == *category)
                    .count() as u64
            };
            CollectionStatus {
                name: name.clone(),
                generation: Generation(found.generation),
                active: found.active.clone(),
                previous: found.previous.clone(),
                versions: found.listed(),
                records: found.rows.len() as u64,
                documents: documents.len() as u64,
                missing: 0,
                categories: names
                    .into_iter()
                    .map(|category| CategoryCount {
                        records: count(&category),
                        category,
                    })
                    .collect(),
            }
        };
        self.collections.iter().map(status).collect()
    }

    /// Bytes of vectors and of texts.
    pub(super) fn bytes(&self) -> (u64, u64) {
        let mut texts = 0;
        for collection in self.collections.values() {
            for Row { document, .. } in collection.rows.values() {
                texts += document.title.len() + document.body.len();
                texts += document.category.as_ref().map_or(0, String::len);
                texts += document.subcategory.as_ref().map_or(0, String::len);
                texts += metadata_to_json(&document.metadata).unwrap().len();
            }
        }
        let vectors = self.vectors.values().map(|(numbers, _)| size(numbers));
        (vectors.sum(), texts as u64)
    }

    pub(super) fn sources(&self, collection: &CollectionName) -> Vec<Source> {
        let found = self.collections.get(collection);
        found.map_or(Vec::new(), |found| {
            found.sources.values().cloned().collect()
        })
    }

    fn rows(&self, collection: &CollectionName) -> Vec<&Row> {
        let found = self.collections.get(collection);
        found.map_or(Vec::new(), |found| found.rows.values().collect())
    }

    pub(super) fn documents(&self, collection: &CollectionName) -> Vec<Document> {
        let rows = self.rows(collection).into_iter();
        rows.map(|row| row.document.clone()).collect()
    }

    pub(super) fn fingerprints(&self, collection: &CollectionName) -> Vec<Fingerprint> {
        let rows = self.rows(collection).into_iter();
        rows.map(|row| Fingerprint {
            key: row.document.key.clone(),
            source: row.document.source.clone(),
            record: RecordHash::of(&row.document),
            vector: self.served(collection, row).cloned(),
            locator: row.document.locator.clone(),
        })
        .collect()
    }

    fn served<'a>(&self, collection: &CollectionName, row: &'a Row) -> Option<&'a VectorKey> {
        let active = self.collections.get(collection)?.active.as_ref()?;
        row.vectors.get(active)
    }

    /// The wanted rows in a version, the one that is served if none is named.
    pub(super) fn records(
        &self,
        name: &CollectionName,
        version: Option<&VersionId>,
        wanted: Option<&Wanted>,
    ) -> Result<Vec<EmbeddingRecord>, Refused> {
        let collection = self.collections.get(name).cloned().unwrap_or_default();
        if version.is_some_and(|version| !collection.versions.contains_key(version)) {
            return Err(Refused::from([MODEL]));
        }
        let version = version.or(collection.active.as_ref());
        let mut records = Vec::new();
        for row in self.rows(name) {
            if wanted.is_some_and(|wanted| !passes(&row.document, wanted)) {
                continue;
            }
            let vector = version.and_then(|version| row.vectors.get(version));
            let vector = vector.ok_or_else(|| Refused::from([MODEL]))?;
            records.push(EmbeddingRecord {
                document: row.document.clone(),
                embedding: self.vectors[vector].0.clone(),
            });
        }
        Ok(records)
    }

    pub(super) fn unbound(
        &self,
        collection: &CollectionName,
        version: &VersionId,
    ) -> (Generation, Vec<DocumentKey>) {
        let found = self.collections.get(collection);
        let keys = found.map_or(Vec::new(), |found| found.unbound(version));
        (self.base(collection), keys)
    }

    pub(super) fn stored(
        &self,
        space: &SpaceId,
        inputs: &BTreeSet<InputHash>,
    ) -> BTreeMap<InputHash, Option<ContentHash>> {
        let mut found = BTreeMap::new();
        for input in inputs {
            let mut variants: Vec<_> = self
                .vectors
                .keys()
                .filter(|key| key.space == *space && key.input == *input)
                .map(|key| key.variant)
                .collect();
            // One that we computed is `None`, and comes first.
            variants.sort();
            if let Some(first) = variants.first() {
                found.insert(*input, *first);
            }
        }
        found
    }
}

/// The best documents by their best rows, equals by key.
pub(super) fn search(
    rows: &[EmbeddingRecord],
    question: &Embedding,
    options: &SearchOptions,
) -> Vec<(f64, Document)> {
    let least = options.threshold.map_or(-2.0, f64::from);
    let mut scored: Vec<(f64, Document)> = rows
        .iter()
        .map(|record| (cosine(question, &record.embedding), record.document.clone()))
        .filter(|(score, _)| *score >= least)
        .collect();
    // Equal vectors of unequal length may differ in the last bits here too.
    let rank = |score: f64| (score * 1e9).round();
    scored.sort_by(|(left, a), (right, b)| {
        rank(*right)
            .total_cmp(&rank(*left))
            .then_with(|| a.key.cmp(&b.key))
    });
    let mut seen = BTreeSet::new();
    scored.retain(|(_, document)| seen.insert(document.key.document.clone()));
    scored.truncate(options.top_k);
    scored
}

pub(super) fn size(numbers: &Embedding) -> u64 {
    4 * numbers.as_slice().len() as u64
}

/// What needs no store to be refused.
fn wrong_by_itself(changes: &ChangeSet) -> Refused {
    let mut keys: Vec<&DocumentKey> = changes.deletes.iter().collect();
    keys.extend(changes.upserts.iter().map(|row| &row.document().key));
    keys.extend(changes.relocations.iter().map(|moved| &moved.key));
    keys.extend(changes.binds.iter().map(|(key, _)| key));
    let foreign_row = keys.iter().any(|key| key.collection != changes.collection);
    let foreign_source = changes
        .source
        .as_ref()
        .is_some_and(|source| source.collection != changes.collection);
    let mut wrong = foreign_row || foreign_source;
    for (n, row) in changes.upserts.iter().enumerate() {
        let document = row.document();
        wrong |= document.title.contains('\0');
        for other in &changes.upserts[..n] {
            let other = other.document();
            wrong |= other.key == document.key;
            wrong |= other.key.document == document.key.document && other.source != document.source;
        }
        let versions: BTreeSet<_> = row.vectors().iter().map(|one| &one.version).collect();
        wrong |= versions.len() != row.vectors().len();
    }
    if wrong {
        Refused::from([INVALID])
    } else {
        Refused::new()
    }
}

fn passes(document: &Document, wanted: &Wanted) -> bool {
    use storage_core::Comparison as C;
    let text = text_of(document);
    let category = wanted
        .category
        .is_none_or(|n| document.category.as_deref() == Some(CATEGORIES[n]));
    let named = wanted
        .document
        .is_none_or(|n| document.key.document == format!("d{n}"));
    let contains = wanted.contains.is_none_or(|(wanted, _)| wanted == text);
    let number = wanted.number.is_none_or(|(comparison, number)| {
        let found = i64::try_from(text).unwrap();
        match comparison {
            C::Equal => found == number,
            C::NotEqual => found != number,
            C::Less => found < number,
            C::LessOrEqual => found <= number,
            C::Greater => found > number,
            C::GreaterOrEqual => found >= number,
        }
    });
    category && named && contains && number
}
