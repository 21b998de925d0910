//! Decides, for every record of a collection, where its vector is. Nothing is handed over before that is known.

use std::collections::HashMap;
use std::io;
use std::num::NonZeroU32;
use std::sync::Arc;

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use storage_core::{ImportError, ImportErrorKind, Metric};

use super::catalogue::Entry;
use super::damage::{shortened, some, sqlite, unreadable};
use super::database::seq_id;
use super::hnsw::Layout;
use super::index::{self, Index};
use super::place::{Files, IndexStamp};
use super::replay::{Operation, Row, Track};

/// Where a vector is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// In the log row of this number, bit for bit.
    Log(i64),
    /// In the element at this position.
    Element(u32),
    /// In the element at this position, and bit for bit in this log row if the row took effect: if both agree.
    Either(i64, u32),
    /// Nowhere; why.
    Nowhere(Arc<str>),
}

/// A record of a collection.
#[derive(Debug, Clone)]
pub(super) struct Planned {
    pub(super) id: Arc<str>,
    /// Its number in the tables; `None` when only the log knows it.
    pub(super) row: Option<i64>,
    pub(super) place: Place,
    /// Log rows that the tables have not seen, to be merged over what they say.
    pub(super) later: Box<[i64]>,
}

/// How a collection is read.
#[derive(Debug)]
pub(super) struct Plan {
    /// In the order in which they are handed over: by the number in the tables, then by the log.
    pub(super) records: Vec<Planned>,
    pub(super) dimensions: Option<NonZeroU32>,
    pub(super) layout: Option<Layout>,
    pub(super) notes: Vec<String>,
    /// The index files as they were when the plan was made.
    pub(super) index_stamp: IndexStamp,
}

/// A record while the log is read.
#[derive(Debug)]
struct Draft {
    id: Arc<str>,
    row: Option<i64>,
    /// The last log row that the tables took for it.
    touched: Option<i64>,
    track: Track,
    later: Vec<i64>,
    alive: bool,
}

/// A collection while the log is read.
#[derive(Debug, Default)]
struct Draught {
    records: Vec<Draft>,
    by_id: HashMap<Arc<str>, u32>,
    /// How far the tables and the index have followed the log.
    tables_follow: Option<i64>,
    index_follows: Option<i64>,
    /// Numbers of the log in the form of versions before 1.0.
    old_numbers: bool,
    unknown_operations: u64,
}

/// Makes the plans of all wanted collections, in one pass over each table.
///
/// # Errors
/// `Damaged` when an index is damaged and `salvage` is not set: says which ids lose their vectors.
pub(super) fn make(
    connection: &Connection,
    files: &Files,
    entries: &[Entry],
    salvage: bool,
) -> Result<Vec<Plan>, ImportError> {
    // One moment for all tables.
    let moment = connection.unchecked_transaction().map_err(sqlite)?;
    let mut draughts: Vec<Draught> = entries.iter().map(|_| Draught::default()).collect();
    let new_numbers = read_followers(&moment, entries, &mut draughts)?;
    read_ids(&moment, entries, &mut draughts)?;
    read_log(&moment, entries, &mut draughts)?;
    moment.finish().map_err(sqlite)?;
    entries
        .iter()
        .zip(draughts)
        .map(|(entry, draught)| finish(files, entry, draught, new_numbers, salvage))
        .collect()
}

/// How far each segment has followed the log. Are there numbers in the form of 1.0?
fn read_followers(
    connection: &Connection,
    entries: &[Entry],
    draughts: &mut [Draught],
) -> Result<bool, ImportError> {
    let mut statement = connection
        .prepare("SELECT segment_id, seq_id FROM max_seq_id")
        .map_err(sqlite)?;
    let mut rows = statement.query([]).map_err(sqlite)?;
    let mut new_numbers = false;
    while let Some(row) = rows.next().map_err(sqlite)? {
        let (segment, number) = (
            row.get_ref(0).map_err(sqlite)?,
            row.get_ref(1).map_err(sqlite)?,
        );
        new_numbers |= matches!(number, ValueRef::Integer(_));
        let (Ok(segment), Some(number)) = (segment.as_str(), seq_id(number)) else {
            continue;
        };
        for (entry, draught) in entries.iter().zip(draughts.iter_mut()) {
            if entry.metadata_segment == segment {
                draught.tables_follow = Some(number);
            }
            if entry.vector_segment == segment {
                draught.index_follows = Some(number);
            }
        }
    }
    Ok(new_numbers)
}

/// Which ids there are. By the table itself, in its order: an index over it can lack rows when a page was lost.
fn read_ids(
    connection: &Connection,
    entries: &[Entry],
    draughts: &mut [Draught],
) -> Result<(), ImportError> {
    let segments: HashMap<&str, usize> = (0..)
        .zip(entries)
        .map(|(at, entry)| (&*entry.metadata_segment, at))
        .collect();
    let mut statement = connection
        .prepare(
            "SELECT id, segment_id, embedding_id, seq_id FROM embeddings NOT INDEXED ORDER BY id",
        )
        .map_err(sqlite)?;
    let mut rows = statement.query([]).map_err(sqlite)?;
    while let Some(row) = rows.next().map_err(sqlite)? {
        let Ok(segment) = row.get_ref(1).map_err(sqlite)?.as_str() else {
            continue;
        };
        // Rows of deleted collections stay behind.
        let Some(&at) = segments.get(segment) else {
            continue;
        };
        let (entry, draught) = (&entries[at], &mut draughts[at]);
        let number: i64 = row.get(0).map_err(sqlite)?;
        let id = row.get_ref(2).map_err(sqlite)?;
        let touched = row.get_ref(3).map_err(sqlite)?;
        draught.old_numbers |= matches!(touched, ValueRef::Blob(_));
        let Ok(id) = id.as_str() else {
            return Err(ImportError::new(
                ImportErrorKind::Damaged,
                format!(
                    "collection `{}`: the id in row {number} of table embeddings is no text; take a copy that is whole",
                    entry.title
                ),
            ));
        };
        let id: Arc<str> = id.into();
        let place = u32::try_from(draught.records.len()).map_err(|_| too_many(entry))?;
        if draught.by_id.insert(Arc::clone(&id), place).is_some() {
            return Err(ImportError::new(
                ImportErrorKind::Damaged,
                format!(
                    "collection `{}` has the id {} twice; take a copy that is whole",
                    entry.title,
                    shortened(&id)
                ),
            ));
        }
        draught.records.push(Draft {
            id,
            row: Some(number),
            touched: seq_id(touched),
            track: Track::default(),
            later: Vec::new(),
            alive: true,
        });
    }
    for draught in draughts {
        // A collection whose tables never say how far they follow: no less far than the rows they have taken.
        if draught.tables_follow.is_none() {
            draught.tables_follow = draught
                .records
                .iter()
                .filter_map(|draft| draft.touched)
                .max();
        }
    }
    Ok(())
}

fn too_many(entry: &Entry) -> ImportError {
    ImportError::new(
        ImportErrorKind::TooLarge,
        format!(
            "collection `{}` has more records than can be read",
            entry.title
        ),
    )
}

/// What the log says of them.
fn read_log(
    connection: &Connection,
    entries: &[Entry],
    draughts: &mut [Draught],
) -> Result<(), ImportError> {
    let ids: HashMap<&str, usize> = (0..)
        .zip(entries)
        .map(|(at, entry)| (&*entry.id, at))
        .collect();
    let mut statement = connection
        .prepare(
            "SELECT seq_id, operation, topic, id, vector IS NOT NULL FROM embeddings_queue ORDER BY seq_id",
        )
        .map_err(sqlite)?;
    let mut rows = statement.query([]).map_err(sqlite)?;
    while let Some(row) = rows.next().map_err(sqlite)? {
        // `persistent://default/default/<collection>`: the words in the middle are settings of the server.
        let topic = row.get_ref(2).map_err(sqlite)?.as_str().unwrap_or_default();
        let collection = topic.rsplit('/').next().unwrap_or_default();
        let Some(&at) = ids.get(collection) else {
            continue;
        };
        let (entry, draught) = (&entries[at], &mut draughts[at]);
        let code: i64 = row.get(1).map_err(sqlite)?;
        let Some(operation) = Operation::from_code(code) else {
            draught.unknown_operations += 1;
            continue;
        };
        let change = Row {
            seq_id: row.get(0).map_err(sqlite)?,
            operation,
            has_vector: row.get(4).map_err(sqlite)?,
        };
        let Ok(id) = row.get_ref(3).map_err(sqlite)?.as_str() else {
            continue;
        };
        let seen = draught
            .tables_follow
            .is_some_and(|followed| change.seq_id <= followed);
        match draught.by_id.get(id) {
            Some(&place) => {
                let draft = &mut draught.records[place as usize];
                if seen {
                    draft.track.seen(change, draft.touched);
                } else {
                    take_later(draft, change);
                }
            }
            None if seen => {}
            None => {
                let place = u32::try_from(draught.records.len()).map_err(|_| too_many(entry))?;
                let id: Arc<str> = id.into();
                let mut draft = Draft {
                    id: Arc::clone(&id),
                    row: None,
                    touched: None,
                    track: Track::absent(),
                    later: Vec::new(),
                    alive: false,
                };
                take_later(&mut draft, change);
                draught.by_id.insert(id, place);
                draught.records.push(draft);
            }
        }
    }
    Ok(())
}

/// A row that the tables have not seen: Chroma would take it at its next start.
fn take_later(draft: &mut Draft, change: Row) {
    draft.track.unseen(change, draft.alive);
    match change.operation {
        Operation::Delete => {
            draft.alive = false;
            draft.row = None;
            draft.later.clear();
        }
        Operation::Add if draft.alive => {}
        Operation::Update if !draft.alive => {}
        _ => {
            draft.alive = true;
            draft.later.push(change.seq_id);
        }
    }
}

/// Puts log and index together.
fn finish(
    files: &Files,
    entry: &Entry,
    draught: Draught,
    new_numbers: bool,
    salvage: bool,
) -> Result<Plan, ImportError> {
    let index_stamp = files.index_stamp(&entry.index_files())?;
    let was_written = draught.index_follows.is_some();
    let mut index = index::look_through(
        files.directory(),
        entry,
        entry.dimensions,
        was_written,
        |id| {
            let place = *draught.by_id.get(id)?;
            draught.records[place as usize].alive.then_some(place)
        },
    )
    .map_err(|error: io::Error| {
        unreadable(error, &files.directory().join(&entry.vector_segment))
    })?;
    let follows = draught.index_follows.or(index.max_seq_id).unwrap_or(-1);
    let mut count = Count::default();
    let nowhere: Arc<str> = match &index.damage {
        Some(reason) => format!("its vector was in the damaged index: {reason}").into(),
        None => "its vector is neither in the log nor in the index".into(),
    };
    let mut records = Vec::with_capacity(draught.records.len());
    for (number, draft) in (0..).zip(draught.records) {
        if draft.alive {
            let place = count.place(&index, number, &draft.track, follows, &nowhere);
            records.push(Planned {
                id: draft.id,
                row: draft.row,
                place,
                later: draft.later.into(),
            });
        }
    }
    // Deleted and added again by rows that the tables have not seen: such a record has lost its number.
    records.sort_by_key(|record| (record.row.is_none(), record.row));
    if let Some(reason) = &index.damage
        && !salvage
    {
        return Err(damaged(entry, reason, &records));
    }
    let mut notes = Vec::new();
    if draught.old_numbers && new_numbers {
        notes
            .push("the directory was written by a Chroma before 1.0 and by a later one".to_owned());
    }
    if draught.unknown_operations > 0 {
        notes.push(format!(
            "{} rows of the log do something that no version up to 1.5 does; they are passed over",
            draught.unknown_operations
        ));
    }
    count.describe(entry, &mut notes);
    if let Some(reason) = index.damage.take() {
        notes.push(format!("the index is damaged: {reason}"));
    }
    Ok(Plan {
        records,
        dimensions: entry.dimensions,
        layout: index.layout,
        notes,
        index_stamp,
    })
}

/// Where the vectors came from.
#[derive(Debug, Default)]
struct Count {
    rescued: u64,
    from_index: u64,
}

impl Count {
    fn place(
        &mut self,
        index: &Index,
        number: u32,
        track: &Track,
        follows: i64,
        nowhere: &Arc<str>,
    ) -> Place {
        let element = index.positions.get(&number).copied();
        match (track.effective(), element) {
            (Some(row), element) if row.certain || element.is_none() => {
                // The index should know it, and does not: versions 0.4 forget what was deleted and added again.
                if index.layout.is_some()
                    && element.is_none()
                    && row.seq_id <= follows
                    && index.lost.binary_search(&number).is_err()
                {
                    self.rescued += 1;
                }
                Place::Log(row.seq_id)
            }
            (Some(row), Some(position)) => Place::Either(row.seq_id, position),
            (None, Some(position)) => {
                self.from_index += 1;
                Place::Element(position)
            }
            _ => Place::Nowhere(Arc::clone(nowhere)),
        }
    }

    fn describe(&self, entry: &Entry, notes: &mut Vec<String>) {
        if self.rescued > 0 {
            notes.push(format!(
                "{} records that Chroma's own index has forgotten have their vectors from the log",
                self.rescued
            ));
        }
        if self.from_index > 0 && entry.metric == Metric::Cosine {
            notes.push(format!(
                "{} vectors are kept normalised beside their norms; what is restored differs from what was written by \
                 less than a millionth of the norm",
                self.from_index
            ));
        }
    }
}

fn damaged(entry: &Entry, reason: &str, records: &[Planned]) -> ImportError {
    let lost: Vec<&str> = records
        .iter()
        .filter(|record| matches!(record.place, Place::Nowhere(_)))
        .map(|record| &*record.id)
        .collect();
    let lost = match lost.len() {
        0 => "no record loses its vector, because the log has them all".to_owned(),
        count => format!(
            "{count} of {} records lose their vectors: {}",
            records.len(),
            some(lost.into_iter())
        ),
    };
    ImportError::new(
        ImportErrorKind::Damaged,
        format!(
            "the index of collection `{}` is damaged: {reason}; {lost}; take a copy that is whole, or import what is \
             left with --salvage",
            entry.title
        ),
    )
}
