//! Rows of the tables as values of the vocabulary, and back.

use std::collections::HashMap;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row};
use storage_core::{
    CollectionName, ContentHash, Document, DocumentKey, Generation, InputHash, Locator, RecordHash,
    SourceId, SpaceId, Timestamp, Version, VersionId, VersionState, metadata_from_json,
};

use crate::error::{Failure, Outcome};
use crate::sql;

/// A collection as the statements know it.
pub(crate) struct Collection {
    pub(crate) id: i64,
    pub(crate) generation: Generation,
    /// The versions it serves and would go back to, by number.
    pub(crate) active: Option<i64>,
    pub(crate) previous: Option<i64>,
    pub(crate) records: u64,
    pub(crate) versions: Vec<StoredVersion>,
}

impl Collection {
    /// The version it serves.
    pub(crate) fn active_version(&self) -> Option<&StoredVersion> {
        let active = self.active?;
        self.versions
            .iter()
            .find(|version| version.number == active)
    }

    /// The version of that name.
    pub(crate) fn version(&self, id: &VersionId) -> Option<&StoredVersion> {
        self.versions.iter().find(|found| found.version.id == *id)
    }
}

/// A version of a collection, and the numbers it goes by.
pub(crate) struct StoredVersion {
    pub(crate) number: i64,
    pub(crate) space: i64,
    pub(crate) dimensions: u32,
    pub(crate) version: Version,
}

/// The versions of a collection, oldest first.
pub(crate) fn versions(conn: &Connection, collection: i64) -> Outcome<Vec<StoredVersion>> {
    let mut statement = conn.prepare_cached(sql::COLLECTION_VERSIONS)?;
    let mut rows = statement.query([collection])?;
    let mut versions = Vec::new();
    while let Some(row) = rows.next()? {
        let space = SpaceId::from_stored(text(row, 1)?);
        let embed_text: String = row.get(2)?;
        let state = VersionState::parse(text(row, 3)?)
            .ok_or_else(|| Failure::corrupt("read", "a version's state is unknown"))?;
        versions.push(StoredVersion {
            number: row.get(0)?,
            space: row.get(8)?,
            dimensions: row.get(9)?,
            version: Version {
                id: VersionId::of(&space, &embed_text),
                space,
                embed_text,
                state,
                records: row.get(4)?,
                calibration: row.get(5)?,
                evaluation: row.get(6)?,
                created_at: Timestamp(row.get(7)?),
            },
        });
    }
    let by_age = |version: &StoredVersion| (version.version.created_at, version.version.id.clone());
    versions.sort_by_key(by_age);
    Ok(versions)
}

pub(crate) fn collection(conn: &Connection, name: &CollectionName) -> Outcome<Option<Collection>> {
    let mut statement = conn.prepare_cached(sql::COLLECTION)?;
    let found = statement
        .query_row([name.as_str()], |row| {
            Ok(Collection {
                id: row.get(0)?,
                generation: Generation(row.get(1)?),
                active: row.get(2)?,
                previous: row.get(3)?,
                records: row.get(4)?,
                versions: Vec::new(),
            })
        })
        .optional()?;
    let Some(mut found) = found else {
        return Ok(None);
    };
    found.versions = versions(conn, found.id)?;
    Ok(Some(found))
}

/// The sources of a collection by their number: names are shared between rows, not copied.
pub(crate) struct Names {
    collection: CollectionName,
    sources: HashMap<i64, SourceId>,
}

impl Names {
    pub(crate) fn read(conn: &Connection, name: &CollectionName, id: i64) -> Outcome<Self> {
        let mut statement = conn.prepare_cached(sql::SOURCE_NAMES)?;
        let mut rows = statement.query([id])?;
        let mut sources = HashMap::new();
        while let Some(row) = rows.next()? {
            sources.insert(row.get(0)?, source_id(row.get(1)?)?);
        }
        Ok(Self {
            collection: name.clone(),
            sources,
        })
    }

    pub(crate) fn key(&self, document: String, chunk: u32) -> DocumentKey {
        DocumentKey {
            collection: self.collection.clone(),
            document,
            chunk,
        }
    }

    pub(crate) fn source(&self, number: i64) -> Outcome<SourceId> {
        self.sources
            .get(&number)
            .cloned()
            .ok_or_else(|| Failure::corrupt("read", "a row's source is missing"))
    }

    /// A row from the columns document, chunk, source, the locator's five, category, subcategory, title, body,
    /// metadata: the order every statement that reads rows keeps.
    pub(crate) fn document(&self, row: &Row<'_>) -> Outcome<Document> {
        Ok(Document {
            key: self.key(row.get(0)?, row.get(1)?),
            source: self.source(row.get(2)?)?,
            locator: locator(row, 3)?,
            category: row.get(8)?,
            subcategory: row.get(9)?,
            title: row.get(10)?,
            body: row.get(11)?,
            metadata: metadata_from_json(text(row, 12)?)?,
        })
    }
}

/// How many columns [`Names::document`] takes.
pub(crate) const DOCUMENT_COLUMNS: usize = 13;

/// The five columns of a locator, from `first` on.
pub(crate) fn locator(row: &Row<'_>, first: usize) -> Outcome<Locator> {
    let start: Option<u64> = row.get(first + 3)?;
    let end: Option<u64> = row.get(first + 4)?;
    Ok(Locator {
        sheet: row.get(first)?,
        row: row.get(first + 1)?,
        page: row.get(first + 2)?,
        span: start.zip(end),
    })
}

pub(crate) fn record_hash(row: &Row<'_>, column: usize) -> Outcome<RecordHash> {
    RecordHash::from_stored(blob(row, column)?).map_err(|_| not_a_hash())
}

/// The input hash of a joined vector; `None` where the row has no vector.
pub(crate) fn input_hash(row: &Row<'_>, column: usize) -> Outcome<Option<InputHash>> {
    match row.get_ref(column)? {
        ValueRef::Null => Ok(None),
        ValueRef::Blob(bytes) => InputHash::from_stored(bytes)
            .map(Some)
            .map_err(|_| not_a_hash()),
        _ => Err(not_a_hash()),
    }
}

/// The variant of a vector: an empty blob is ours.
pub(crate) fn variant(row: &Row<'_>, column: usize) -> Outcome<Option<ContentHash>> {
    let bytes = blob(row, column)?;
    if bytes.is_empty() {
        return Ok(None);
    }
    ContentHash::from_stored(bytes)
        .map(Some)
        .map_err(|_| not_a_hash())
}

pub(crate) fn variant_bytes(variant: Option<&ContentHash>) -> &[u8] {
    variant.map_or(&[], |hash| hash.as_bytes().as_slice())
}

pub(crate) fn blob<'row>(row: &'row Row<'_>, column: usize) -> Outcome<&'row [u8]> {
    row.get_ref(column)?
        .as_blob()
        .map_err(|error| Failure::corrupt("read", format!("a stored value is no blob: {error}")))
}

pub(crate) fn text<'row>(row: &'row Row<'_>, column: usize) -> Outcome<&'row str> {
    row.get_ref(column)?
        .as_str()
        .map_err(|error| Failure::corrupt("read", format!("a stored value is no text: {error}")))
}

pub(crate) fn source_id(name: String) -> Outcome<SourceId> {
    SourceId::new(name).map_err(|error| Failure::corrupt("read", error.to_string()))
}

pub(crate) fn collection_name(name: String) -> Outcome<CollectionName> {
    CollectionName::new(name).map_err(|error| Failure::corrupt("read", error.to_string()))
}

fn not_a_hash() -> Failure {
    Failure::corrupt("read", "a stored hash is not 32 bytes")
}
