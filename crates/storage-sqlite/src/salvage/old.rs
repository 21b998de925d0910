//! A store of schema 1 in today's words: there a version was a space, and a collection had one recipe.

use std::collections::{BTreeMap, BTreeSet};

use storage_core::{EmbedText, VersionState};

use crate::salvage::record::Value;
use crate::salvage::tables::{Collection, Small, Version, Witnesses};

/// Makes versions of the collections and links of schema 1, unless something of today's schema was found: then they are
/// leavings of the upgrade.
pub(super) fn carry_over(small: &mut Small, witnesses: &mut Witnesses) {
    let old = std::mem::take(&mut small.old_collections);
    let old_links = std::mem::take(&mut witnesses.old_links);
    let is_new = !small.collections.is_empty()
        || !small.versions.is_empty()
        || !witnesses.versions.is_empty()
        || !witnesses.links.is_empty();
    if is_new {
        return;
    }
    small.is_old = !old.is_empty() || !old_links.is_empty();
    let collection_of = |record: &i64| witnesses.records.get(record).map(|(number, ..)| *number);
    let mut linked: BTreeMap<i64, BTreeSet<i64>> = BTreeMap::new();
    for (record, space) in old_links.keys() {
        if let Some(collection) = collection_of(record) {
            linked.entry(collection).or_default().insert(*space);
        }
    }
    let mut numbers = BTreeMap::new();
    let all: BTreeSet<i64> = old.keys().chain(linked.keys()).copied().collect();
    for collection in all {
        let stored = old.get(&collection);
        let known = |space: &i64| small.spaces.contains_key(space);
        let active = stored.and_then(|(stored, _)| stored.active).filter(known);
        let previous = stored.and_then(|(stored, _)| stored.previous).filter(known);
        let recipe = stored.map_or_else(
            || EmbedText::default().as_str().to_owned(),
            |(_, recipe)| recipe.clone(),
        );
        let spaces: BTreeSet<i64> = match active {
            Some(active) => previous.into_iter().chain([active]).collect(),
            None => {
                let linked = linked.get(&collection).into_iter().flatten().copied();
                linked.chain(previous).filter(known).collect()
            }
        };
        for space in spaces {
            let number = i64::try_from(numbers.len()).unwrap_or(i64::MAX - 1) + 1;
            numbers.insert((collection, space), number);
            let created = small.spaces[&space].get(9).and_then(Value::integer);
            let version = Version {
                collection,
                space,
                recipe: recipe.clone(),
                state: VersionState::Ready,
                calibration: Value::Null,
                evaluation: Value::Null,
                created_at: created.unwrap_or_default(),
            };
            small.versions.insert(number, version);
        }
    }
    for (collection, (stored, _)) in old {
        let number = |space: i64| numbers.get(&(collection, space)).copied();
        let stored = Collection {
            active: stored.active.and_then(number),
            previous: stored.previous.and_then(number),
            ..stored
        };
        small.collections.insert(collection, stored);
    }
    for ((record, space), link) in old_links {
        let (vector, key) = &link;
        witnesses
            .linked
            .entry(*vector)
            .or_insert_with(|| key.clone());
        let collection = witnesses.records.get(&record).map(|(number, ..)| *number);
        let number = collection.and_then(|collection| numbers.get(&(collection, space)));
        if let Some(number) = number {
            witnesses.links.insert((record, *number), link);
        }
    }
}
