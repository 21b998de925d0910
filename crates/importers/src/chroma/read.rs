//! Hands a collection over, in the order of the tables.
//!
//! Three sources are walked side by side, all in about the order in which the records were written: the metadata by the
//! record's number, the log by its row, the index by position. No more than a batch is held.

use std::fs::File;
use std::mem;
use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Statement};
use storage_core::{
    Embedding, ImportError, ImportFault, Imported, ImportedRecord, Locator, Metric,
};

use super::Inner;
use super::damage::{changing, sqlite, unreadable};
use super::database::{columns, connect};
use super::hnsw::{Elements, Norms};
use super::metadata::Words;
use super::plan::{Place, Planned};
use crate::outlet::{Outlet, Stop};

/// Records that are looked up at once.
const RECORDS: usize = 256;

/// Bytes of text in them, about.
const TEXT: usize = 2 << 20;

/// Reads a collection through; looks before every batch whether anybody has written.
pub(super) fn read(inner: &Inner, outlet: &mut Outlet<'_>) -> Result<(), Stop> {
    let files = &inner.files;
    let index_files = inner.entry.index_files();
    let unchanged = || match files.stamp(&index_files)? == inner.stamp {
        true => Ok(()),
        false => Err(changing(files.directory())),
    };
    unchanged()?;
    let connection = connect(files)?;
    let mut words = Tables::new(&connection)?;
    let mut vectors = Vectors::new(inner, &connection)?;
    let mut records = &inner.plan.records[..];
    let mut found = Vec::new();
    while !records.is_empty() {
        let batch = &records[..records.len().min(RECORDS)];
        words.of(batch, &mut found)?;
        let batch = &batch[..found.len()];
        let imported = batch
            .iter()
            .zip(found.drain(..))
            .map(|(record, words)| vectors.join(record, words))
            .collect::<Result<Vec<_>, _>>()?;
        unchanged()?;
        for entry in imported {
            match entry {
                Imported::Record(record) => outlet.record(*record)?,
                Imported::Fault(fault) => outlet.fault(fault)?,
            }
        }
        records = &records[batch.len()..];
    }
    Ok(unchanged()?)
}

/// Texts and metadata.
struct Tables<'c> {
    plain: Statement<'c>,
    lists: Option<Statement<'c>>,
    log: CachedStatement<'c>,
}

impl<'c> Tables<'c> {
    fn new(connection: &'c Connection) -> Result<Self, ImportError> {
        let present = columns(connection, "embedding_metadata")?;
        let truth = match present.contains("bool_value") {
            true => "bool_value",
            false => "NULL",
        };
        let select = |table: &str, truth: &str, order: &str| {
            let sql = format!(
                "SELECT id, key, string_value, {truth}, int_value, float_value FROM {table} \
                 WHERE id BETWEEN ?1 AND ?2 ORDER BY {order}"
            );
            connection.prepare(&sql).map_err(sqlite)
        };
        let lists = match columns(connection, "embedding_metadata_array")?.is_empty() {
            true => None,
            false => Some(select(
                "embedding_metadata_array",
                "bool_value",
                "id, key, rowid",
            )?),
        };
        Ok(Self {
            plain: select("embedding_metadata", truth, "id, key")?,
            lists,
            log: connection
                .prepare_cached("SELECT metadata FROM embeddings_queue WHERE seq_id = ?1")
                .map_err(sqlite)?,
        })
    }

    /// What the records say. Stops early when that is a lot: the rest is for the next batch.
    fn of(&mut self, batch: &[Planned], found: &mut Vec<Words>) -> Result<(), ImportError> {
        found.clear();
        found.resize_with(batch.len(), Words::default);
        let rows: Vec<i64> = batch.iter().map_while(|record| record.row).collect();
        if let (Some(first), Some(last)) = (rows.first(), rows.last()) {
            let read = walk(&mut self.plain, &rows, (*first, *last), found, false)?;
            found.truncate(match read {
                Some(read) => read,
                None => batch.len(),
            });
            let rows = &rows[..rows.len().min(found.len())];
            if let (Some(lists), Some(last)) = (&mut self.lists, rows.last()) {
                walk(lists, rows, (*first, *last), found, true)?;
            }
        }
        for (record, words) in batch.iter().zip(found.iter_mut()) {
            for seq_id in &record.later {
                let json: Option<Option<String>> = self
                    .log
                    .query_row([seq_id], |row| row.get(0))
                    .optional()
                    .map_err(sqlite)?;
                if let Some(json) = json.flatten() {
                    words.merge(&json);
                }
            }
        }
        Ok(())
    }
}

/// Merges rows of a table, which come by number, into records, which stand by number. If that is too much at once, says
/// how many of the records are complete.
fn walk(
    statement: &mut Statement<'_>,
    numbers: &[i64],
    range: (i64, i64),
    found: &mut [Words],
    lists: bool,
) -> Result<Option<usize>, ImportError> {
    let mut rows = statement.query(range).map_err(sqlite)?;
    let (mut at, mut text) = (0, 0);
    while let Some(row) = rows.next().map_err(sqlite)? {
        let number: i64 = row.get(0).map_err(sqlite)?;
        if numbers[at] < number {
            if text > TEXT && !lists {
                return Ok(Some(at + 1));
            }
            // The rows between belong to other collections.
            at += numbers[at..].partition_point(|known| *known < number);
        }
        match numbers.get(at) {
            None => break,
            Some(known) if *known != number => continue,
            Some(_) => {}
        }
        let value = |column| row.get_ref(column).unwrap_or(ValueRef::Null);
        let columns = [value(2), value(3), value(4), value(5)];
        text += match lists {
            false => found[at].set(value(1), columns),
            true => found[at].append(value(1), columns),
        };
    }
    Ok(None)
}

/// Are these the same numbers, but for what dividing by a norm and multiplying with it again costs?
fn agree(exact: &[f32], rounded: &[f32]) -> bool {
    let square: f64 = exact.iter().map(|number| f64::from(*number).powi(2)).sum();
    let room = 1e-6 * square.sqrt();
    exact.len() == rounded.len()
        && exact
            .iter()
            .zip(rounded)
            .all(|(a, b)| (f64::from(*a) - f64::from(*b)).abs() <= room)
}

/// Vectors, from wherever the plan says.
struct Vectors<'c> {
    log: CachedStatement<'c>,
    elements: Option<Elements<File>>,
    norms: Option<Norms<File>>,
    dimensions: Option<usize>,
    numbers: Vec<f32>,
    directory: &'c Path,
}

impl<'c> Vectors<'c> {
    fn new(inner: &'c Inner, connection: &'c Connection) -> Result<Self, ImportError> {
        let directory = inner.files.directory();
        let open = |name: &str| {
            let path = directory.join(inner.entry.index_file(name));
            File::open(&path).map_err(|error| unreadable(error, &path))
        };
        let used = inner
            .plan
            .records
            .iter()
            .any(|record| matches!(record.place, Place::Element(_) | Place::Either(..)));
        let failed = |error| unreadable(error, directory);
        let elements = match inner.plan.layout {
            Some(layout) if used => {
                Some(Elements::new(open("data_level0.bin")?, layout).map_err(failed)?)
            }
            _ => None,
        };
        let norms = match inner.entry.metric {
            Metric::Cosine if used => Some(Norms::new(open("length.bin")?).map_err(failed)?),
            _ => None,
        };
        Ok(Self {
            log: connection
                .prepare_cached("SELECT vector, encoding FROM embeddings_queue WHERE seq_id = ?1")
                .map_err(sqlite)?,
            elements,
            norms,
            dimensions: inner.plan.dimensions.map(|number| number.get() as usize),
            numbers: Vec::new(),
            directory,
        })
    }

    fn join(&mut self, record: &Planned, words: Words) -> Result<Imported, ImportError> {
        let row = record.row.and_then(|row| u64::try_from(row).ok());
        let fault = |reason: String| {
            Ok(Imported::Fault(ImportFault {
                id: Some(record.id.to_string()),
                row,
                reason,
            }))
        };
        if let Some(reason) = words.fault {
            return fault(reason);
        }
        self.numbers.clear();
        match &record.place {
            Place::Nowhere(reason) => return fault(reason.to_string()),
            Place::Log(seq_id) => {
                if let Err(reason) = self.log_vector(*seq_id)? {
                    return fault(reason);
                }
            }
            Place::Element(position) => {
                if let Err(reason) = self.element_vector(u64::from(*position))? {
                    return fault(reason);
                }
            }
            Place::Either(seq_id, position) => {
                if let Err(reason) = self.element_vector(u64::from(*position))? {
                    return fault(reason);
                }
                let rounded = mem::take(&mut self.numbers);
                if self.log_vector(*seq_id)?.is_err() || !agree(&self.numbers, &rounded) {
                    self.numbers = rounded;
                }
            }
        }
        let dimensions = *self.dimensions.get_or_insert(self.numbers.len());
        if self.numbers.len() != dimensions {
            return fault(format!(
                "its vector has {} numbers instead of {dimensions}",
                self.numbers.len()
            ));
        }
        match Embedding::new(&self.numbers[..]) {
            Err(error) => fault(error.to_string()),
            Ok(embedding) => Ok(Imported::Record(Box::new(ImportedRecord {
                document: record.id.to_string(),
                chunk: 0,
                text: words.text,
                category: None,
                metadata: words.metadata,
                embedding,
                locator: Locator {
                    row,
                    ..Locator::default()
                },
            }))),
        }
    }

    /// A row by its number is one step down a tree that is in the cache already: the last record's row is beside it.
    fn log_vector(&mut self, seq_id: i64) -> Result<Result<(), String>, ImportError> {
        let mut rows = self.log.query([seq_id]).map_err(sqlite)?;
        let Some(row) = rows.next().map_err(sqlite)? else {
            return Ok(Err("its row of the log is gone".to_owned()));
        };
        let encoding = row.get_ref(1).map_err(sqlite)?;
        if encoding.as_str() != Ok("FLOAT32") {
            let encoding = encoding.as_str().unwrap_or("something unknown");
            return Ok(Err(format!(
                "its vector in the log is written as {encoding:?} and not as FLOAT32"
            )));
        }
        let Ok(bytes) = row.get_ref(0).map_err(sqlite)?.as_blob() else {
            return Ok(Err("its vector in the log is not made of bytes".to_owned()));
        };
        let (words, rest) = bytes.as_chunks::<4>();
        if !rest.is_empty() {
            return Ok(Err(format!(
                "its vector in the log has {} bytes, which is no whole number of FLOAT32",
                bytes.len()
            )));
        }
        self.numbers
            .extend(words.iter().map(|word| f32::from_le_bytes(*word)));
        Ok(Ok(()))
    }

    fn element_vector(&mut self, position: u64) -> Result<Result<(), String>, ImportError> {
        let failed = |error| unreadable(error, self.directory);
        let element = match &mut self.elements {
            Some(elements) => elements.get(position).map_err(failed)?,
            None => None,
        };
        // Whole when the plan was made.
        let element = element.ok_or_else(|| changing(self.directory))?;
        match &mut self.norms {
            None => self.numbers.extend(element.numbers()),
            Some(norms) => {
                let Some(norm) = norms.get(position).map_err(failed)? else {
                    return Ok(Err("length.bin has no norm for its vector".to_owned()));
                };
                self.numbers
                    .extend(element.numbers().map(|number| number * norm));
            }
        }
        Ok(Ok(()))
    }
}
