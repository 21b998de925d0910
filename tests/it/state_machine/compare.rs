//! Everything that can be seen of a store, and every answer to a search, against the model's.

use std::collections::BTreeSet;
use std::fmt::Debug;

use futures_util::TryStreamExt;
use retriever::{SearchIndex, SearchOptions, Searched, search_store};
use storage_core::testing::fixture;
use storage_core::{
    CollectionName, DocumentKey, EmbeddingRecord, EmbeddingStore, Filter, InputHash,
    StoreErrorKind, VersionId,
};

use super::machine::Difference;
use super::model::{self, Model, Refused};
use super::operation::{CHUNKS, COLLECTIONS, DOCUMENTS, Key, SPACES, TEXTS, VERSIONS, Wanted};
use super::values::{binding, collection, key, question, space, version};

pub(super) fn same<T: Debug + PartialEq>(
    what: &str,
    found: &T,
    expected: &T,
) -> Result<(), Difference> {
    if found == expected {
        return Ok(());
    }
    Err(format!(
        "{what}\n   found: {found:?}\nexpected: {expected:?}"
    ))
}

/// Everything that can be seen of a store.
pub(super) async fn compare(
    store: &dyn EmbeddingStore,
    model: &Model,
    on_disk: bool,
) -> Result<(), Difference> {
    let broken = |error: storage_core::StoreError| format!("cannot be read: {error:?}");
    let status = store.status().await.map_err(broken)?;
    same("generation", &status.generation, &model.generation())?;
    same("store", &status.store_id, &model.store_id)?;
    same("spaces", &status.spaces, &model.spaces())?;
    same("collections", &status.collections, &model.collections())?;
    let bytes = store.bytes().await.map_err(broken)?;
    same("bytes", &(bytes.vectors, bytes.text), &model.bytes())?;
    same("bytes on disk", &(bytes.file > 0), &on_disk)?;
    for of in 0..COLLECTIONS.len() {
        let name = collection(of);
        let (generation, fingerprints) = store.fingerprints(&name).await.map_err(broken)?;
        same("base", &generation, &model.base(&name))?;
        same("fingerprints", &fingerprints, &model.fingerprints(&name))?;
        let mut keys: Vec<DocumentKey> = (0..DOCUMENTS)
            .flat_map(|document| (0..CHUNKS).map(move |chunk| Key { document, chunk }))
            .map(|wanted| key(of, wanted))
            .collect();
        // Asked for in no order, twice, and one that never was.
        keys.reverse();
        keys.push(keys[0].clone());
        keys.push(DocumentKey {
            document: "absent".into(),
            ..keys[0].clone()
        });
        let documents = store.documents(&keys).await.map_err(broken)?;
        same("documents", &documents, &model.documents(&name))?;
        let sources = store.sources(&name).await.map_err(broken)?;
        same("sources", &sources, &model.sources(&name))?;
        let records = scan(store, &name, None, Filter::default()).await;
        same("scan", &records, &model.records(&name, None, None))?;
        // What is served was scanned above, and of what nobody registered one is enough.
        let versions = (0..VERSIONS.len()).map(|n| version(n).id);
        let mut beside: Vec<VersionId> = versions
            .filter(|id| model.stands_beside(&name, id))
            .collect();
        if of == 0 {
            beside.push(fixture::version("never registered").id);
        }
        for id in beside {
            let records = scan(store, &name, Some(&id), Filter::default()).await;
            let expected = model.records(&name, Some(&id), None);
            same("scan of a version", &records, &expected)?;
            let unbound = store.unbound(&name, &id).await.map_err(broken)?;
            same("unbound", &unbound, &model.unbound(&name, &id))?;
        }
        let mut runs = model.runs(&name);
        let found = store.runs(&name, usize::MAX).await.map_err(broken)?;
        same("runs", &found, &runs)?;
        runs.truncate(1);
        let found = store.runs(&name, 1).await.map_err(broken)?;
        same("newest run", &found, &runs)?;
    }
    let stats = store.cache_stats().await.map_err(broken)?;
    same("cache_stats", &stats, &model.cache_stats())?;
    let inputs: BTreeSet<InputHash> = (0..=TEXTS)
        .flat_map(|text| [0, 4].map(|of| binding(of, text, false).vector.input))
        .collect();
    for n in 0..SPACES.len() {
        let id = space(n).id;
        let found = store.stored_vectors(&id, &inputs).await.map_err(broken)?;
        same("stored_vectors", &found, &model.stored(&id, &inputs))?;
        let canaries = store.canaries(&id).await.map_err(broken)?;
        same("canaries", &canaries, &model.canaries(&id))?;
    }
    let report = store.check().await.map_err(broken)?;
    match report.checks.iter().find(|check| !check.ok) {
        Some(check) => Err(format!("check: {check:?}")),
        None => Ok(()),
    }
}

/// Rows, or why there are none.
async fn scan(
    store: &dyn EmbeddingStore,
    collection: &CollectionName,
    version: Option<&VersionId>,
    filter: Filter,
) -> Result<Vec<EmbeddingRecord>, Refused> {
    let scanned = store.scan(collection, version, filter);
    let refused = |error: storage_core::StoreError| Refused::from([model::name(error.kind())]);
    scanned.try_collect().await.map_err(refused)
}

/// What is asked of which rows.
pub(super) struct Asked<'a> {
    pub(super) collection: usize,
    /// In which version; the one that is served if none is named.
    pub(super) version: Option<usize>,
    pub(super) question: usize,
    pub(super) wanted: &'a Wanted,
}

/// Two roads to the same answer: row by row from the store, and from an index in memory.
pub(super) async fn search(
    store: &dyn EmbeddingStore,
    model: &Model,
    asked: &Asked<'_>,
    options: &SearchOptions,
) -> Result<(), Difference> {
    let (name, question) = (collection(asked.collection), question(asked.question));
    let version = asked.version.map(|n| version(n).id);
    let version = version.as_ref();
    let scanned = scan(store, &name, version, options.filter.clone()).await;
    let taking_part = model.records(&name, version, Some(asked.wanted));
    same("filtered scan", &scanned, &taking_part)?;
    let rows = model.records(&name, version, None);
    let fits = |rows: &Result<Vec<EmbeddingRecord>, Refused>| {
        rows.iter()
            .flatten()
            .all(|row| row.embedding.dimensions() == question.dimensions())
            && rows.is_ok()
    };
    let found = search_store(store, &name, version, &question, options).await;
    let from_memory = match SearchIndex::load(store, &name, version).await {
        Ok(index) => index.search(&question, options),
        Err(error) => Err(error),
    };
    let roads = [
        ("search_store", found, fits(&taking_part)),
        ("SearchIndex", from_memory, fits(&rows)),
    ];
    let taking_part = taking_part.unwrap_or_default();
    let mut scores = Vec::new();
    for (road, found, fits) in roads {
        let found = match (found, fits) {
            (Ok(found), true) => found,
            (Err(error), false) if error.kind() == StoreErrorKind::Model => continue,
            (found, _) => return Err(format!("{road}: {found:?}")),
        };
        let expected = model::search(&taking_part, &question, options);
        same_hits(road, &found, &expected)?;
        same(road, &found.scanned, &taking_part.len())?;
        scores.push(found);
    }
    match &scores[..] {
        [first, second] => same("scores of both roads", first, second),
        _ => Ok(()),
    }
}

fn same_hits(
    road: &str,
    found: &Searched,
    expected: &[(f64, storage_core::Document)],
) -> Result<(), Difference> {
    let documents: Vec<_> = found.hits.iter().map(|hit| &hit.document).collect();
    let right: Vec<_> = expected.iter().map(|(_, document)| document).collect();
    same(road, &documents, &right)?;
    for (hit, (score, _)) in found.hits.iter().zip(expected) {
        if (f64::from(hit.score) - score).abs() > 1e-5 {
            return Err(format!("{road}: scored {} instead of {score}", hit.score));
        }
    }
    Ok(())
}
