//! The checks that mean something for maps: hashes, references, counters. The others hold by construction.

use std::collections::BTreeMap;

use super::State;
use crate::{
    Check, ContentHash, EmbedText, InputHash, IntegrityReport, RecordHash, VersionId, VersionState,
    check_names as names,
};

pub(super) fn check(state: &State) -> IntegrityReport {
    let mut unready = 0u64;
    let mut rows = 0u64;
    let mut served = 0u64;
    let mut wrong_rows = 0u64;
    let mut orphans = 0u64;
    let mut categories = std::collections::BTreeSet::new();
    for (name, collection) in &state.collections {
        let ready = collection.active.as_ref().is_none_or(|active| {
            collection
                .versions
                .get(active)
                .is_some_and(|version| version.state == VersionState::Ready)
        });
        unready += u64::from(!ready);
        let recipes: BTreeMap<&VersionId, EmbedText> = collection
            .versions
            .values()
            .filter_map(|version| Some((&version.id, EmbedText::parse(&version.embed_text).ok()?)))
            .collect();
        for (row, vector) in collection.active_vectors() {
            rows += 1;
            served += u64::from(vector.is_some());
            categories.insert((name, row.document.category.as_ref()));
            orphans += row
                .vectors
                .values()
                .filter(|vector| !state.vectors.contains_key(vector))
                .count() as u64;
            let input_fits = row.vectors.iter().all(|(version, vector)| {
                recipes.get(version).is_none_or(|recipe| {
                    InputHash::of(&recipe.render(&row.document)) == vector.input
                })
            });
            wrong_rows += u64::from(RecordHash::of(&row.document) != row.record || !input_fits);
        }
    }
    let damaged = state
        .vectors
        .values()
        .filter(|vector| ContentHash::of(&vector.embedding.to_le_bytes()) != vector.checksum)
        .count();
    let applies: u64 = state
        .collections
        .values()
        .map(|collection| collection.generation)
        .sum();
    let count = |name, found: u64, expected: u64, detail: &str| {
        Check::compare(name, found, expected, detail)
    };
    IntegrityReport {
        checks: vec![
            count(names::CONNECTION, 0, 0, "the store is in memory"),
            count(names::SCHEMA_VERSION, 1, 1, "maps have one schema"),
            count(
                names::EMBEDDING_VERSION,
                unready,
                0,
                "collections that serve a version that is not ready",
            ),
            count(
                names::TEMPLATES,
                served,
                rows,
                "rows with a vector of the active version",
            ),
            count(
                names::CATEGORIES,
                categories.len() as u64,
                categories.len() as u64,
                "categories",
            ),
            count(
                names::CONTENT_HASHES,
                wrong_rows,
                0,
                "rows whose hash does not match their fields",
            ),
            count(
                names::VECTOR_HASHES,
                damaged as u64,
                0,
                "vectors that do not match their checksum",
            ),
            count(names::ORPHANS, orphans, 0, "references that lead nowhere"),
            count(names::FOREIGN_KEYS, 0, 0, "maps have no foreign keys"),
            count(
                names::GENERATION,
                state.generation,
                applies,
                "the store's counter against the collections'",
            ),
        ],
    }
}
