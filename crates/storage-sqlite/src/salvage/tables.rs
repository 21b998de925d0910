//! The small tables, which hold what rows and vectors refer to, and the witnesses: indices and references, which say
//! once more what a row or a vector says of itself.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU32;

use storage_core::{CollectionName, ContentHash, EmbeddingModel, SourceId, SpaceId, VersionState};

use crate::salvage::record::{Cell, Value};
use crate::schema::MIGRATIONS;

/// How many values the rows of each table have, and what else tells them apart. A migration that adds a column to one
/// of these tables changes the number here.
pub(crate) mod values {
    pub(crate) const MIGRATION: usize = 4;
    pub(crate) const CANARY: usize = 3;
    pub(crate) const SOURCE: usize = 5;
    pub(crate) const COLLECTION: usize = 7;
    /// A collection of schema 1 has its name where a version has its collection's number.
    pub(crate) const VERSION_OR_OLD_COLLECTION: usize = 9;
    pub(crate) const VECTOR: usize = 10;
    /// A run has a name or nothing where a space has its dimensions.
    pub(crate) const RUN_OR_SPACE: usize = 12;
    pub(crate) const OLD_SPACE: usize = 13;
    pub(crate) const RECORD: usize = 20;
    /// Tables without which a schema is not whole.
    pub(crate) const TREES: [&str; 7] = [
        "collections",
        "collection_versions",
        "embedding_spaces",
        "sources",
        "embedding_vectors",
        "embedding_records",
        "record_inputs",
    ];
    /// The same under schema 1.
    pub(crate) const OLD_TREES: [&str; 6] = [
        "collections",
        "embedding_versions",
        "sources",
        "embedding_vectors",
        "embedding_records",
        "record_inputs",
    ];
}

/// The name of a vector: space by number, input, variant.
pub(crate) type Key = (i64, Vec<u8>, Vec<u8>);

pub(crate) struct Collection {
    pub(crate) name: String,
    pub(crate) active: Option<i64>,
    pub(crate) previous: Option<i64>,
    pub(crate) generation: i64,
    pub(crate) records: i64,
}

/// A version of a collection.
#[derive(Clone)]
pub(crate) struct Version {
    pub(crate) collection: i64,
    pub(crate) space: i64,
    pub(crate) recipe: String,
    pub(crate) state: VersionState,
    pub(crate) calibration: Value,
    pub(crate) evaluation: Value,
    pub(crate) created_at: i64,
}

/// What the small tables say, by number.
#[derive(Default)]
pub(crate) struct Small {
    pub(crate) is_ours: bool,
    /// Whether all this was written under schema 1.
    pub(crate) is_old: bool,
    /// As stored, the number apart; each proved by its id, which is a digest of the rest.
    pub(crate) spaces: BTreeMap<i64, Vec<Value>>,
    pub(crate) versions: BTreeMap<i64, Version>,
    pub(crate) collections: BTreeMap<i64, Collection>,
    /// Those of schema 1, where pointers lead to spaces, each with its recipe.
    pub(crate) old_collections: BTreeMap<i64, (Collection, String)>,
    /// Collection, id, kind, location.
    pub(crate) sources: BTreeMap<i64, Vec<Value>>,
    pub(crate) runs: BTreeMap<i64, Vec<Value>>,
    pub(crate) canaries: Vec<Vec<Value>>,
    /// Spaces whose row was mended: one flipped bit, found by the id.
    pub(crate) mended: usize,
}

impl Small {
    pub(crate) fn take(&mut self, cell: Cell) {
        let Some(number) = cell.rowid else {
            return;
        };
        let mut all = cell.values;
        if all.len() == values::OLD_SPACE {
            // State and calibration belong to versions now; the canaries were never asked for.
            all.drain(10..12);
            all.push(Value::Null);
        }
        match all.len() {
            values::MIGRATION => self.is_ours |= is_migration(&all),
            values::RUN_OR_SPACE if all[4].integer().is_some() => {
                if let Some(mended) = prove_space(&mut all) {
                    self.is_ours = true;
                    self.mended += usize::from(mended);
                    self.spaces
                        .entry(number)
                        .or_insert_with(|| all.split_off(1));
                }
            }
            values::VERSION_OR_OLD_COLLECTION => {
                if let Some(version) = version(&all) {
                    self.versions.entry(number).or_insert(version);
                } else if let Some(old) = old_collection(&mut all) {
                    self.old_collections.entry(number).or_insert(old);
                }
            }
            values::COLLECTION => {
                if let Some(collection) = collection(&all) {
                    self.collections.entry(number).or_insert(collection);
                }
            }
            values::SOURCE
                if all[0].is_null()
                    && all[1].integer().is_some()
                    && all[2].text().is_some_and(|id| SourceId::new(id).is_ok())
                    && all[3].is_null() == all[4].is_null() =>
            {
                self.sources
                    .entry(number)
                    .or_insert_with(|| all.split_off(1));
            }
            values::RUN_OR_SPACE if all[0].is_null() && all[1].text().is_some() => {
                self.runs.entry(number).or_insert_with(|| all.split_off(1));
            }
            values::CANARY
                if all[0].integer().is_some()
                    && all[1].text().is_some()
                    && all[2].blob().is_some() =>
            {
                self.canaries.push(all);
            }
            _ => {}
        }
    }

    /// How long the vectors of a space are.
    pub(crate) fn dimensions(&self, space: i64) -> Option<i64> {
        self.spaces.get(&space)?.get(3)?.integer()
    }
}

fn is_migration(all: &[Value]) -> bool {
    all[2].blob().is_some_and(|found| {
        MIGRATIONS
            .iter()
            .any(|known| known.checksum().as_bytes() == found)
    })
}

fn collection(all: &[Value]) -> Option<Collection> {
    let version = |value: &Value| match value {
        Value::Null => Some(None),
        Value::Integer(number) => Some(Some(*number)),
        _ => None,
    };
    Some(Collection {
        name: CollectionName::new(all[1].text()?)
            .ok()?
            .as_str()
            .to_owned(),
        generation: all[2].integer().filter(|number| *number >= 0)?,
        records: all[3].integer()?,
        active: version(&all[5])?,
        previous: version(&all[6])?,
    })
}

/// Name, active, previous, recipe, generation, threshold and counts stood in this order.
fn old_collection(all: &mut Vec<Value>) -> Option<(Collection, String)> {
    all[0].is_null().then_some(())?;
    let recipe = all[4].text()?.to_owned();
    let [active, previous] = [all[2].clone(), all[3].clone()];
    all.remove(6);
    all.drain(2..5);
    all.extend([active, previous]);
    Some((collection(all)?, recipe))
}

fn version(all: &[Value]) -> Option<Version> {
    let note = |value: &Value| (value.is_null() || value.text().is_some()).then(|| value.clone());
    all[0].is_null().then_some(())?;
    all[5].integer()?;
    Some(Version {
        collection: all[1].integer()?,
        space: all[2].integer()?,
        recipe: all[3].text()?.to_owned(),
        state: VersionState::parse(all[4].text()?)?,
        calibration: note(&all[6])?,
        evaluation: note(&all[7])?,
        created_at: all[8].integer()?,
    })
}

/// A space's id is a digest of its model, so a row proves itself; where one bit was flipped, the digest finds it.
/// Everything that was paid for hangs on this one row.
fn prove_space(all: &mut [Value]) -> Option<bool> {
    const PROVED: [usize; 6] = [1, 3, 5, 6, 7, 9];
    all[0].is_null().then_some(())?;
    all[10].integer()?;
    if fits(all) {
        return Some(false);
    }
    for column in PROVED {
        let Value::Text(text) = &all[column] else {
            return None;
        };
        for bit in 0..8 * text.len() {
            flip(all, column, bit);
            if fits(all) {
                return Some(true);
            }
            flip(all, column, bit);
        }
    }
    for column in [4, 8] {
        let number = all[column].integer()?;
        for bit in 0..32 {
            all[column] = Value::Integer(number ^ (1 << bit));
            if fits(all) {
                return Some(true);
            }
        }
        all[column] = Value::Integer(number);
    }
    None
}

fn flip(all: &mut [Value], column: usize, bit: usize) {
    if let Value::Text(text) = &mut all[column] {
        text[bit / 8] ^= 1 << (bit % 8);
    }
}

fn fits(all: &[Value]) -> bool {
    let digest = || {
        let text = |column: usize| all[column].text().map(str::to_owned);
        let model = EmbeddingModel {
            name: text(3)?,
            dimensions: NonZeroU32::new(u32::try_from(all[4].integer()?).ok()?)?,
            revision: text(5)?,
            query_prefix: text(6)?,
            passage_prefix: text(7)?,
            normaliser: u16::try_from(all[8].integer()?).ok()?,
        };
        Some(SpaceId::of(&model, all[9].text()?))
    };
    digest().is_some_and(|id| all[1].text() == Some(id.as_str()))
}

/// Everything that is said a second time.
#[derive(Default)]
pub(crate) struct Witnesses {
    /// What rows refer to: by row and version, the vector's number and name.
    pub(crate) links: BTreeMap<(i64, i64), (i64, Key)>,
    /// Those of schema 1: by row and space.
    pub(crate) old_links: BTreeMap<(i64, i64), (i64, Key)>,
    /// The same by the vector's number.
    pub(crate) linked: HashMap<i64, Key>,
    /// The index of the vectors.
    pub(crate) vectors: HashMap<i64, Key>,
    /// The index of the rows: collection, document, chunk.
    pub(crate) records: BTreeMap<i64, (i64, String, i64)>,
    /// The index of the sources: collection and id.
    pub(crate) sources: HashMap<i64, (i64, String)>,
    /// The index of the collections.
    pub(crate) collections: HashMap<i64, String>,
    /// The index of the versions: collection, space, recipe.
    pub(crate) versions: BTreeMap<i64, (i64, i64, String)>,
    /// What imports replaced.
    pub(crate) undo: Vec<Vec<Value>>,
}

impl Witnesses {
    /// An entry of an index, or a row of a table that is kept as one.
    pub(crate) fn take(&mut self, cell: Cell, owner: Option<&str>) {
        let is = |name: &str| owner == Some(name);
        match &cell.values[..] {
            [
                Value::Integer(record),
                Value::Integer(version),
                Value::Integer(space),
                Value::Integer(vector),
                input,
                variant,
            ] if let Some((input, variant)) = names(input, variant) => {
                let key = (*space, input, variant);
                self.linked.entry(*vector).or_insert_with(|| key.clone());
                self.links
                    .entry((*record, *version))
                    .or_insert((*vector, key));
            }
            [
                Value::Integer(record),
                Value::Integer(space),
                Value::Integer(vector),
                input,
                variant,
            ] if let Some((input, variant)) = names(input, variant) => {
                let key = (*space, input, variant);
                self.old_links
                    .entry((*record, *space))
                    .or_insert((*vector, key));
            }
            [
                Value::Integer(space),
                input,
                variant,
                Value::Integer(vector),
            ] if let Some((input, variant)) = names(input, variant) => {
                self.vectors
                    .entry(*vector)
                    .or_insert((*space, input, variant));
            }
            [
                Value::Integer(collection),
                Value::Integer(space),
                recipe,
                Value::Integer(version),
            ] if let Some(recipe) = recipe.text() => {
                let named = (*collection, *space, recipe.to_owned());
                self.versions.entry(*version).or_insert(named);
            }
            [
                Value::Integer(collection),
                document,
                Value::Integer(chunk),
                Value::Integer(record),
            ] if let Some(document) = document.text() => {
                let named = (*collection, document.to_owned(), *chunk);
                self.records.entry(*record).or_insert(named);
            }
            [Value::Integer(collection), id, Value::Integer(source)]
                if is("sqlite_autoindex_sources_1")
                    && let Some(id) = id.text() =>
            {
                self.sources.insert(*source, (*collection, id.to_owned()));
            }
            [name, Value::Integer(collection)]
                if is("sqlite_autoindex_collections_1")
                    && let Some(name) = name.text() =>
            {
                self.collections.insert(*collection, name.to_owned());
            }
            [
                Value::Integer(_),
                Value::Integer(_),
                Value::Text(_),
                Value::Integer(_),
                Value::Null | Value::Text(_),
            ] => {
                self.undo.push(cell.values);
            }
            _ => {}
        }
    }

    /// The name of a vector, by majority of what the vector, the index and a row say; `None` where they disagree. A
    /// vector under a wrong name would answer for another text.
    pub(crate) fn name(&self, number: i64, own: &Key) -> Option<Key> {
        let others = [self.vectors.get(&number), self.linked.get(&number)];
        let others: Vec<&Key> = others.into_iter().flatten().collect();
        match others[..] {
            [] => Some(own.clone()),
            [other] => (other == own).then(|| own.clone()),
            [one, other] if one == other => Some(one.clone()),
            _ => others.contains(&own).then(|| own.clone()),
        }
    }
}

fn names(input: &Value, variant: &Value) -> Option<(Vec<u8>, Vec<u8>)> {
    let (input, variant) = (input.blob()?, variant.blob()?);
    (input.len() == 32 && matches!(variant.len(), 0 | 32))
        .then(|| (input.to_vec(), variant.to_vec()))
}

/// Whether an imported vector's name is its own checksum, which no other witness is needed for.
pub(crate) fn names_itself(variant: &[u8], bytes: &[u8]) -> bool {
    variant == ContentHash::of(bytes).as_bytes()
}
