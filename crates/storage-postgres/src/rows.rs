//! Rows of the tables as values of the vocabulary, and back.

use std::collections::HashMap;

use storage_core::{
    CollectionName, ContentHash, Document, DocumentKey, Generation, InputHash, Locator, RecordHash,
    SourceId, SpaceId, Timestamp, Version, VersionId, VersionState, metadata_from_json,
};
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Type};

use crate::error::{Failure, Outcome};
use crate::sql;
use crate::tx::Tx;

/// A collection as the statements know it.
#[derive(Clone)]
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
#[derive(Clone)]
pub(crate) struct StoredVersion {
    pub(crate) number: i64,
    pub(crate) space: i64,
    pub(crate) dimensions: u32,
    pub(crate) version: Version,
}

/// The versions of a collection, oldest first.
pub(crate) async fn versions(tx: &Tx<'_>, collection: i64) -> Outcome<Vec<StoredVersion>> {
    let rows = tx
        .rows(sql::COLLECTION_VERSIONS, &[(&collection, Type::INT8)])
        .await?;
    by_age(&rows, 0)
}

fn by_age(rows: &[Row], first: usize) -> Outcome<Vec<StoredVersion>> {
    let mut versions = rows
        .iter()
        .map(|row| version(row, first))
        .collect::<Outcome<Vec<_>>>()?;
    versions.sort_by_key(|found| (found.version.created_at, found.version.id.clone()));
    Ok(versions)
}

/// A version from the ten columns that every statement that reads one keeps, from `first` on.
fn version(row: &Row, first: usize) -> Outcome<StoredVersion> {
    let space = SpaceId::from_stored(get(row, first + 1)?);
    let embed_text: String = get(row, first + 2)?;
    let state = VersionState::parse(get(row, first + 3)?)
        .ok_or_else(|| Failure::corrupt("read", "a version's state is unknown"))?;
    Ok(StoredVersion {
        number: get(row, first)?,
        space: get(row, first + 8)?,
        dimensions: count32(row, first + 9)?,
        version: Version {
            id: VersionId::of(&space, &embed_text),
            space,
            embed_text,
            state,
            records: count(row, first + 4)?,
            calibration: get(row, first + 5)?,
            evaluation: get(row, first + 6)?,
            created_at: Timestamp(get(row, first + 7)?),
        },
    })
}

pub(crate) async fn collection(tx: &Tx<'_>, name: &CollectionName) -> Outcome<Option<Collection>> {
    let mut rows = tx
        .rows(sql::COLLECTION, &[(&name.as_str(), Type::TEXT)])
        .await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let mut found = Collection {
        id: get(row, 0)?,
        generation: Generation(count(row, 1)?),
        active: get(row, 2)?,
        previous: get(row, 3)?,
        records: count(row, 4)?,
        versions: Vec::new(),
    };
    // A collection without a version is one row with nothing beside it.
    if get::<Option<i64>>(row, 5)?.is_none() {
        rows.clear();
    }
    found.versions = by_age(&rows, 5)?;
    Ok(Some(found))
}

/// The sources of a collection by their number: names are shared between rows, not copied.
#[derive(Clone)]
pub(crate) struct Names {
    collection: CollectionName,
    sources: HashMap<i64, SourceId>,
}

impl Names {
    pub(crate) async fn read(tx: &Tx<'_>, name: &CollectionName, id: i64) -> Outcome<Self> {
        let rows = tx.rows(sql::SOURCE_NAMES, &[(&id, Type::INT8)]).await?;
        let mut sources = HashMap::new();
        for row in &rows {
            sources.insert(get(row, 0)?, source_id(get(row, 1)?)?);
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
    /// metadata as text: the order every statement that reads rows keeps.
    pub(crate) fn document(&self, row: &Row) -> Outcome<Document> {
        Ok(Document {
            key: self.key(get(row, 0)?, count32(row, 1)?),
            source: self.source(get(row, 2)?)?,
            locator: locator(row, 3)?,
            category: get(row, 8)?,
            subcategory: get(row, 9)?,
            title: get(row, 10)?,
            body: get(row, 11)?,
            metadata: metadata_from_json(get(row, 12)?)?,
        })
    }
}

/// How many columns [`Names::document`] takes.
pub(crate) const DOCUMENT_COLUMNS: usize = 13;

/// The five columns of a locator, from `first` on.
pub(crate) fn locator(row: &Row, first: usize) -> Outcome<Locator> {
    let whole = |column| -> Outcome<Option<u64>> {
        let number: Option<i64> = get(row, column)?;
        number
            .map(|number| u64::try_from(number).map_err(|_| negative()))
            .transpose()
    };
    let page = whole(first + 2)?
        .map(|page| u32::try_from(page).map_err(|_| negative()))
        .transpose()?;
    Ok(Locator {
        sheet: get(row, first)?,
        row: whole(first + 1)?,
        page,
        span: whole(first + 3)?.zip(whole(first + 4)?),
    })
}

pub(crate) fn record_hash(row: &Row, column: usize) -> Outcome<Option<RecordHash>> {
    let bytes: Option<&[u8]> = get(row, column)?;
    bytes
        .map(|bytes| RecordHash::from_stored(bytes).map_err(|_| not_a_hash()))
        .transpose()
}

/// The input hash of a joined vector; `None` where the row has no vector.
pub(crate) fn input_hash(row: &Row, column: usize) -> Outcome<Option<InputHash>> {
    let bytes: Option<&[u8]> = get(row, column)?;
    bytes
        .map(|bytes| InputHash::from_stored(bytes).map_err(|_| not_a_hash()))
        .transpose()
}

/// The variant of a vector: no bytes is ours.
pub(crate) fn variant(row: &Row, column: usize) -> Outcome<Option<ContentHash>> {
    let bytes: &[u8] = get(row, column)?;
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

/// A column's value.
pub(crate) fn get<'r, T: FromSql<'r>>(row: &'r Row, column: usize) -> Outcome<T> {
    Ok(row.try_get(column)?)
}

/// A count: never negative.
pub(crate) fn count(row: &Row, column: usize) -> Outcome<u64> {
    u64::try_from(get::<i64>(row, column)?).map_err(|_| negative())
}

/// A small count, of either integer type.
pub(crate) fn count32(row: &Row, column: usize) -> Outcome<u32> {
    let wide = match *row.columns()[column].type_() {
        Type::INT4 => i64::from(get::<i32>(row, column)?),
        _ => get::<i64>(row, column)?,
    };
    u32::try_from(wide).map_err(|_| negative())
}

pub(crate) fn source_id(name: String) -> Outcome<SourceId> {
    SourceId::new(name).map_err(|error| Failure::corrupt("read", error.to_string()))
}

pub(crate) fn collection_name(name: String) -> Outcome<CollectionName> {
    CollectionName::new(name).map_err(|error| Failure::corrupt("read", error.to_string()))
}

fn negative() -> Failure {
    Failure::corrupt("read", "a stored number is out of its range")
}

fn not_a_hash() -> Failure {
    Failure::corrupt("read", "a stored hash is not 32 bytes")
}
