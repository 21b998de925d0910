//! A new store out of what an old one still proves. Numbers stay as they were: checksums cover some of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rusqlite::Connection;
use storage_core::{
    CollectionName, ContentHash, DamagedRow, Document, DocumentKey, EmbedText, Embedding,
    InputHash, KeptRow, Locator, RecordHash, RepairReport, SourceId, metadata_from_json,
};

use crate::error::Outcome;
use crate::salvage::Salvage;
use crate::salvage::record::{Cell, Value};
use crate::salvage::tables::{Key, names_itself, values};
use crate::sql;
use storage_core::guard::{fits, guard, place_guard};

/// Fills an empty store of today's schema. Rows that have lost their vector are kept without one, unless
/// `drop_unembedded` leaves them to the next sync.
pub(crate) fn rebuild(
    salvage: &Salvage<'_>,
    conn: &mut Connection,
    drop_unembedded: bool,
    report: &mut RepairReport,
) -> Outcome<()> {
    let transaction = conn.transaction()?;
    let mut work = Rebuild {
        salvage,
        conn: &transaction,
        drop_unembedded,
        report,
        collections: BTreeMap::new(),
        sources: BTreeMap::new(),
        runs: BTreeSet::new(),
        vectors: HashMap::new(),
        rows: HashMap::new(),
        lost: BTreeSet::new(),
    };
    work.spaces()?;
    work.runs()?;
    work.collections()?;
    work.vectors()?;
    work.records()?;
    work.name_the_lost();
    work.rest()?;
    if salvage.small.is_old {
        transaction.execute_batch(sql::SALVAGE_OLD)?;
    }
    transaction.execute_batch(sql::SALVAGE_SETTLE)?;
    transaction.commit()?;
    report.records_lost.sort_by(|a, b| a.key.cmp(&b.key));
    report.to_embed.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(())
}

pub(super) struct Known {
    pub(super) name: CollectionName,
    pub(super) active: Option<i64>,
    /// Space and recipe of each version, by number.
    pub(super) versions: BTreeMap<i64, (i64, EmbedText)>,
}

/// A written vector among those of one text: its variant and its number.
type Variant = (Vec<u8>, i64);

/// What a row refers to: version, space, vector, input, variant.
type Input = (i64, i64, i64, Vec<u8>, Vec<u8>);

/// A row's place among the others: collection, document, chunk.
type Place = (i64, String, u32);

pub(super) struct Rebuild<'a> {
    pub(super) salvage: &'a Salvage<'a>,
    pub(super) conn: &'a Connection,
    pub(super) drop_unembedded: bool,
    pub(super) report: &'a mut RepairReport,
    pub(super) collections: BTreeMap<i64, Known>,
    /// Written sources, each with its collection.
    pub(super) sources: BTreeMap<i64, (i64, SourceId)>,
    pub(super) runs: BTreeSet<i64>,
    /// Written vectors by space and input: variant and number.
    pub(super) vectors: HashMap<(i64, Vec<u8>), Vec<Variant>>,
    /// Written rows: number and when they were changed.
    pub(super) rows: HashMap<Place, (i64, i64)>,
    pub(super) lost: BTreeSet<Place>,
}

impl Rebuild<'_> {
    pub(super) fn note(&mut self, line: String) {
        self.report.recomputed.push(line);
    }

    fn vectors(&mut self) -> Outcome<()> {
        let salvage = self.salvage;
        let mut outcome = Ok(());
        let mut bad: BTreeSet<i64> = BTreeSet::new();
        let mut good: BTreeSet<i64> = BTreeSet::new();
        salvage.rows(values::VECTOR, |cell| {
            let number = cell.rowid.unwrap_or_default();
            if outcome.is_err() {
                return;
            }
            match self.vector(number, &cell) {
                Ok(true) => {
                    good.insert(number);
                }
                Ok(false) => {
                    bad.insert(number);
                }
                Err(failure) => outcome = Err(failure),
            }
        });
        outcome?;
        let named = salvage
            .witnesses
            .vectors
            .keys()
            .chain(salvage.witnesses.linked.keys());
        bad.extend(named);
        self.report.vectors_kept = good.len() as u64;
        self.report.vectors_lost = bad.difference(&good).count() as u64;
        Ok(())
    }

    /// Keeps a vector that its checksums prove.
    fn vector(&mut self, number: i64, cell: &Cell) -> Outcome<bool> {
        let [
            Value::Null,
            Value::Integer(space),
            Value::Integer(dimensions),
            Value::Blob(input),
            Value::Blob(variant),
            Value::Blob(checksum),
            Value::Integer(expected),
            Value::Integer(run),
            Value::Integer(created),
            Value::Blob(bytes),
        ] = &cell.values[..]
        else {
            return Ok(false);
        };
        let sound = ContentHash::of(bytes).as_bytes() == checksum.as_slice()
            && fits(*expected, guard(bytes), &[*run, *created])
            && Embedding::from_le_bytes(bytes)
                .is_ok_and(|embedding| i64::from(embedding.dimensions()) == *dimensions);
        let own: Key = (*space, input.clone(), variant.clone());
        let Some((space, input, variant)) = self.salvage.witnesses.name(number, &own) else {
            return Ok(false);
        };
        if !sound
            || self.salvage.small.dimensions(space) != Some(*dimensions)
            || input.len() != 32
            || !(variant.is_empty() || names_itself(&variant, bytes))
        {
            return Ok(false);
        }
        self.run(*run)?;
        let written = self.conn.prepare_cached(sql::SALVAGE_VECTOR)?.execute((
            number, space, dimensions, &input, &variant, checksum, expected, run, created, bytes,
        ))?;
        if written > 0 {
            self.vectors
                .entry((space, input))
                .or_default()
                .push((variant, number));
        }
        Ok(true)
    }

    fn records(&mut self) -> Outcome<()> {
        let salvage = self.salvage;
        let mut outcome = Ok(());
        salvage.rows(values::RECORD, |cell| {
            if outcome.is_ok() {
                outcome = self.record(&cell);
            }
        });
        outcome?;
        self.report.records_kept = self.rows.len() as u64;
        Ok(())
    }

    fn record(&mut self, cell: &Cell) -> Outcome<()> {
        let row = &cell.values;
        let number = cell.rowid.unwrap_or_default();
        let Some((collection, source, document)) = row_of(row) else {
            self.lose(number, row, "its fields cannot be read");
            return Ok(());
        };
        let key = &document.key;
        let expected = place_guard(
            collection,
            &key.document,
            key.chunk,
            source,
            &document.locator,
        );
        if row[6].blob() != Some(RecordHash::of(&document).as_bytes().as_slice()) {
            self.lose(number, row, "its text does not match its checksum");
            return Ok(());
        }
        let numbers = [3, 4, 5, 7].map(|column| row[column].integer());
        let [Some(run), Some(created), Some(updated), Some(stored)] = numbers else {
            self.lose(number, row, "its fields cannot be read");
            return Ok(());
        };
        if !fits(stored, expected, &[run, created, updated]) {
            self.lose(
                number,
                row,
                "its key, its place in the source or its times do not match their checksum",
            );
            return Ok(());
        }
        let place = (collection, key.document.clone(), key.chunk);
        if let Some((other, when)) = self.rows.get(&place) {
            // An older copy of a row, on a page that was given back.
            if *when >= updated {
                return Ok(());
            }
            self.conn
                .prepare_cached(sql::DELETE_RECORD)?
                .execute([*other])?;
            self.rows.remove(&place);
        }
        self.collection(collection, None)?;
        self.source(source, collection)?;
        self.run(run)?;
        let inputs = self.inputs(number, collection, &document);
        if inputs.is_none() {
            let known = &self.collections[&collection];
            let key = DocumentKey {
                collection: known.name.clone(),
                ..document.key
            };
            self.report.to_embed.push(DamagedRow {
                key,
                locator: document.locator,
                reason: "its vector is lost".to_owned(),
            });
            if self.drop_unembedded {
                self.lost.insert(place);
                return Ok(());
            }
        }
        let mut fields = numbered(number, &row[1..]);
        let mut insert = self.conn.prepare_cached(sql::SALVAGE_RECORD)?;
        let mut number = number;
        if rejected(insert.execute(rusqlite::params_from_iter(&fields)))?.is_none() {
            // The number is taken, by a row that was moved to it: any other will do.
            fields[0] = Value::Null;
            insert.execute(rusqlite::params_from_iter(&fields))?;
            number = self.conn.last_insert_rowid();
        }
        let mut bind = self.conn.prepare_cached(sql::BIND)?;
        for (version, space, vector, input, variant) in inputs.into_iter().flatten() {
            bind.execute((number, version, space, vector, input, variant))?;
        }
        self.rows.insert(place, (number, updated));
        Ok(())
    }

    /// The vectors of a row in every version, found by the row's own text. `None` when there is no vector of the version
    /// that is served.
    fn inputs(&self, number: i64, collection: i64, document: &Document) -> Option<Vec<Input>> {
        let known = &self.collections[&collection];
        let links = &self.salvage.witnesses.links;
        let find = |version: i64| {
            let (space, recipe) = known.versions.get(&version)?;
            let wanted = InputHash::of(&recipe.render(document)).as_bytes().to_vec();
            let stored = self.vectors.get(&(*space, wanted.clone()))?;
            let preferred = links
                .get(&(number, version))
                .filter(|(_, (_, input, _))| *input == wanted)
                .map(|(_, (.., variant))| variant);
            let chosen = preferred
                .and_then(|preferred| stored.iter().find(|(variant, _)| variant == preferred))
                .or_else(|| stored.iter().min())?;
            Some((version, *space, chosen.1, wanted, chosen.0.clone()))
        };
        let active = known.active?;
        let mut found = vec![find(active)?];
        let others = known.versions.keys().filter(|version| **version != active);
        found.extend(others.filter_map(|version| find(*version)));
        Some(found)
    }

    /// Remembers a row that cannot be kept, by the name the index has for it, or the row itself.
    fn lose(&mut self, number: i64, row: &[Value], reason: &str) {
        let own = || {
            let chunk = u32::try_from(row[9].integer()?).ok()?;
            Some((row[1].integer()?, row[8].text()?.to_owned(), chunk))
        };
        let indexed = self.salvage.witnesses.records.get(&number);
        let indexed = indexed.and_then(|(collection, document, chunk)| {
            Some((*collection, document.clone(), u32::try_from(*chunk).ok()?))
        });
        let Some(place) = indexed.or_else(own) else {
            return;
        };
        let locator = locator(row).unwrap_or_default();
        self.lose_place(place, locator, reason);
    }

    fn lose_place(&mut self, place: Place, locator: Locator, reason: &str) {
        if self.rows.contains_key(&place) || !self.lost.insert(place.clone()) {
            return;
        }
        let (collection, document, chunk) = place;
        let name = match self.collections.get(&collection) {
            Some(known) => known.name.clone(),
            None => match CollectionName::new(format!("recovered-{collection}")) {
                Ok(name) => name,
                Err(_) => return,
            },
        };
        self.report.records_lost.push(DamagedRow {
            key: DocumentKey {
                collection: name,
                document,
                chunk,
            },
            locator,
            reason: reason.to_owned(),
        });
    }

    /// Rows that only an index still knows.
    fn name_the_lost(&mut self) {
        // A row that was met damaged and, on another page, whole is not lost.
        let rows = &self.rows;
        let collections = &self.collections;
        self.report.records_lost.retain(|row| {
            let number = collections
                .iter()
                .find(|(_, known)| known.name == row.key.collection)
                .map_or(0, |(number, _)| *number);
            !rows.contains_key(&(number, row.key.document.clone(), row.key.chunk))
        });
        let salvage = self.salvage;
        for (collection, document, chunk) in salvage.witnesses.records.values() {
            if let Ok(chunk) = u32::try_from(*chunk) {
                let place = (*collection, document.clone(), chunk);
                self.lose_place(
                    place,
                    Locator::default(),
                    "the page it was on cannot be read",
                );
            }
        }
        let recorded: i64 = salvage
            .small
            .collections
            .values()
            .map(|stored| stored.records)
            .sum();
        let known = self.rows.len() + self.report.records_lost.len();
        if let Some(more) = usize::try_from(recorded)
            .ok()
            .and_then(|all| all.checked_sub(known))
            && more > 0
            && more < 1 << 32
            && !self.drop_unembedded
        {
            self.note(format!(
                "{more} more rows were recorded, and nothing is left of them"
            ));
        }
    }

    /// What no row refers to: sources without rows, canaries, the undo of imports.
    fn rest(&mut self) -> Outcome<()> {
        let salvage = self.salvage;
        for (number, row) in &salvage.small.sources {
            if let Some(collection) = row[0].integer()
                && self.collections.contains_key(&collection)
            {
                self.source(*number, collection)?;
            }
        }
        let mut insert = self.conn.prepare_cached(sql::SALVAGE_CANARY)?;
        for row in &salvage.small.canaries {
            let sound = row[2]
                .blob()
                .is_some_and(|bytes| Embedding::from_le_bytes(bytes).is_ok());
            if sound {
                rejected(insert.execute(rusqlite::params_from_iter(row)))?;
            }
        }
        let mut insert = self.conn.prepare_cached(sql::SALVAGE_UNDO)?;
        for row in &salvage.witnesses.undo {
            if is_whole(row) {
                rejected(insert.execute(rusqlite::params_from_iter(row)))?;
            } else {
                self.note(
                    "a row that an import replaced is damaged: undoing the import leaves it as it is"
                        .to_owned(),
                );
            }
        }
        Ok(())
    }
}

/// A row that a rule of its table refuses is no failure of the repair.
pub(super) fn rejected(outcome: rusqlite::Result<usize>) -> Outcome<Option<usize>> {
    match outcome {
        Ok(changed) => Ok(Some(changed)),
        Err(error)
            if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) =>
        {
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether an entry of the undo of imports could be restored.
fn is_whole(row: &[Value]) -> bool {
    let Value::Text(_) = &row[4] else {
        return matches!(row[4], Value::Null);
    };
    let read = || {
        let key = DocumentKey {
            collection: CollectionName::new("unknown").ok()?,
            document: row[2].text()?.to_owned(),
            chunk: u32::try_from(row[3].integer()?).ok()?,
        };
        KeptRow::from_json(key, row[4].text()?).ok()
    };
    read().is_some()
}

pub(super) fn numbered(number: i64, row: &[Value]) -> Vec<Value> {
    std::iter::once(Value::Integer(number))
        .chain(row.iter().cloned())
        .collect()
}

fn locator(row: &[Value]) -> Option<Locator> {
    let count = |column: usize| match &row[column] {
        Value::Null => Some(None),
        Value::Integer(number) => u64::try_from(*number).ok().map(Some),
        _ => None,
    };
    Some(Locator {
        sheet: optional(&row[10])?,
        row: count(11)?,
        page: count(12)?.map(u32::try_from).transpose().ok()?,
        span: count(13)?.zip(count(14)?),
    })
}

fn optional(value: &Value) -> Option<Option<String>> {
    match value {
        Value::Null => Some(None),
        text => Some(Some(text.text()?.to_owned())),
    }
}

/// A row as readers see it, with the numbers of its collection and its source.
fn row_of(row: &[Value]) -> Option<(i64, i64, Document)> {
    let text = |column: usize| row[column].text().map(str::to_owned);
    let document = Document {
        // The hash of a row covers no key.
        key: DocumentKey {
            collection: CollectionName::new("unknown").ok()?,
            document: text(8)?,
            chunk: u32::try_from(row[9].integer()?).ok()?,
        },
        source: SourceId::new("unknown").ok()?,
        locator: locator(row)?,
        category: optional(&row[15])?,
        subcategory: optional(&row[16])?,
        title: text(17)?,
        body: text(18)?,
        metadata: metadata_from_json(row[19].text()?).ok()?,
    };
    Some((row[1].integer()?, row[2].integer()?, document))
}
