//! Everything that can be seen of a store, and every answer to a search, against the model's.

use std::collections::BTreeSet;
use std::fmt::Debug;

use futures_util::TryStreamExt;
use retriever::{SearchIndex, SearchOptions, Searched, search_store};
use storage_core::{DocumentKey, EmbeddingStore, Filter, InputHash, StoreErrorKind};

use super::machine::Difference;
use super::model::Model;
use super::operation::{CHUNKS, COLLECTIONS, DOCUMENTS, Key, TEXTS, VERSIONS, Wanted};
use super::values::{collection, key, question, vector_key, version};

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
    same("versions", &status.versions, &model.versions())?;
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
        let records: Vec<_> = store
            .scan(&name, Filter::default())
            .try_collect()
            .await
            .map_err(broken)?;
        same("scan", &records, &model.records(&name, None))?;
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
        .map(|text| vector_key(0, text, false).input)
        .collect();
    for n in 0..VERSIONS.len() {
        let id = version(n).id;
        let found = store.stored_vectors(&id, &inputs).await.map_err(broken)?;
        same("stored_vectors", &found, &model.stored(&id, &inputs))?;
    }
    let report = store.check().await.map_err(broken)?;
    match report.checks.iter().find(|check| !check.ok) {
        Some(check) => Err(format!("check: {check:?}")),
        None => Ok(()),
    }
}

/// Two roads to the same answer: row by row from the store, and from an index in memory.
pub(super) async fn search(
    store: &dyn EmbeddingStore,
    model: &Model,
    of: usize,
    asked: usize,
    options: &SearchOptions,
    wanted: &Wanted,
) -> Result<(), Difference> {
    let (name, question) = (collection(of), question(asked));
    let scanned: Vec<_> = store
        .scan(&name, options.filter.clone())
        .try_collect()
        .await
        .map_err(|error| format!("cannot be scanned: {error:?}"))?;
    let taking_part = model.records(&name, Some(wanted));
    same("filtered scan", &scanned, &taking_part)?;
    let rows = model.records(&name, None);
    let fits = |rows: &[storage_core::EmbeddingRecord]| {
        rows.iter()
            .all(|row| row.embedding.dimensions() == question.dimensions())
    };
    let found = search_store(store, &name, &question, options).await;
    let index = SearchIndex::load(store, &name)
        .await
        .map_err(|error| format!("cannot be loaded: {error:?}"))?;
    let roads = [
        ("search_store", found, fits(&taking_part)),
        ("SearchIndex", index.search(&question, options), fits(&rows)),
    ];
    let mut scores = Vec::new();
    for (road, found, fits) in roads {
        let found = match (found, fits) {
            (Ok(found), true) => found,
            (Err(error), false) if error.kind() == StoreErrorKind::Model => continue,
            (found, _) => return Err(format!("{road}: {found:?}")),
        };
        let expected = model.search(&name, &question, options.top_k, options.threshold, wanted);
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
