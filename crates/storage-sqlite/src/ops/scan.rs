//! Rows with their vectors, page by page.

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use storage_core::{CollectionName, Embedding, EmbeddingRecord, Filter, StoreErrorKind, VersionId};

use crate::error::{Failure, Outcome};
use crate::ops::pages::{Cursor, Pages};
use crate::ops::versions::unknown_version;
use crate::rows::{self, DOCUMENT_COLUMNS, Names};
use crate::sql;
use storage_core::guard::{fits, guard};

/// Rows a page: enough to make a page cheap, little enough to keep memory bounded.
const PAGE: usize = 128;

/// A scan between two pages.
pub(crate) struct Scan {
    collection: i64,
    version: i64,
    dimensions: u32,
    /// Whether every row must have a vector.
    served: bool,
    names: Names,
    filter: Filter,
    /// The last row that was read, or what sorts before every row.
    after: (String, i64),
    /// Whether the last page was read.
    done: bool,
}

/// What to scan: of which collection, in which version or the active one, which rows.
pub(crate) struct Wanted {
    pub(crate) collection: CollectionName,
    pub(crate) version: Option<VersionId>,
    pub(crate) filter: Filter,
}

impl Pages for Wanted {
    const OPERATION: &'static str = "scan";
    type Item = EmbeddingRecord;
    type Cursor = Scan;

    fn start(&self, conn: &Connection) -> Outcome<Option<Scan>> {
        let (name, version, filter) = (&self.collection, self.version.as_ref(), &self.filter);
        let collection = rows::collection(conn, name)?;
        if let Some(id) = version
            && collection
                .as_ref()
                .is_none_or(|found| found.version(id).is_none())
        {
            return Err(unknown_version("scan", id));
        }
        let Some(collection) = collection else {
            return Ok(None);
        };
        let found = match version {
            Some(id) => collection.version(id),
            None => collection.active_version(),
        };
        let Some(found) = found else {
            return Ok(None);
        };
        Ok(Some(Scan {
            collection: collection.id,
            version: found.number,
            dimensions: found.dimensions,
            served: Some(found.number) == collection.active,
            names: Names::read(conn, name, collection.id)?,
            after: (filter.document.clone().unwrap_or_default(), -1),
            filter: filter.clone(),
            done: false,
        }))
    }
}

impl Cursor for Scan {
    type Item = EmbeddingRecord;

    fn is_done(&self) -> bool {
        self.done
    }

    fn page(&mut self, conn: &Connection) -> Outcome<Vec<EmbeddingRecord>> {
        let mut statement = conn.prepare_cached(match self.filter.document {
            Some(_) => sql::SCAN_DOCUMENT,
            None => sql::SCAN,
        })?;
        let everything = self.filter.is_empty();
        let (document, chunk) = &self.after;
        let mut rows =
            statement.query((self.collection, self.version, document, chunk, PAGE as i64))?;
        let mut page = Vec::with_capacity(PAGE);
        let mut seen = 0;
        let mut last = None;
        while let Some(row) = rows.next()? {
            let document = self.names.document(row)?;
            seen += 1;
            if seen == PAGE {
                last = Some((document.key.document.clone(), document.key.chunk.into()));
            }
            // The filter comes before the vector is touched: a row that is not wanted costs its text only.
            if !everything && !self.filter.matches(&document) {
                continue;
            }
            if !self.served && matches!(row.get_ref(DOCUMENT_COLUMNS)?, ValueRef::Null) {
                return Err(Failure::new(
                    StoreErrorKind::Model,
                    "scan",
                    format!(
                        "the version is not complete: no vector for {:?} chunk {}",
                        document.key.document, document.key.chunk
                    ),
                ));
            }
            let embedding = embedding(row, self.dimensions).map_err(|fault| {
                Failure::corrupt(
                    "scan",
                    format!(
                        "{fault}; run `smart-support repair`, then `smart-support sync`: {:?} chunk {}",
                        document.key.document, document.key.chunk
                    ),
                )
            })?;
            page.push(EmbeddingRecord {
                document,
                embedding,
            });
        }
        match last {
            Some(last) => self.after = last,
            None => self.done = true,
        }
        Ok(page)
    }
}

fn embedding(row: &rusqlite::Row<'_>, dimensions: u32) -> Result<Embedding, String> {
    let column = DOCUMENT_COLUMNS;
    let expected = match row.get_ref(column) {
        Ok(ValueRef::Integer(guard)) => guard,
        Ok(ValueRef::Null) => return Err("a row has no vector".to_owned()),
        Ok(_) => return Err("a vector's checksum is no number".to_owned()),
        Err(error) => return Err(error.to_string()),
    };
    let bytes = match row.get_ref(column + 1) {
        Ok(ValueRef::Blob(bytes)) => bytes,
        Ok(_) => return Err("a vector is no blob".to_owned()),
        Err(error) => return Err(error.to_string()),
    };
    if bytes.len() as u64 != 4 * u64::from(dimensions) {
        return Err("a vector has the wrong length".to_owned());
    }
    let stamp = [row.get(column + 2), row.get(column + 3)];
    let [Ok(run), Ok(created)] = stamp else {
        return Err("when a vector was stored is no number".to_owned());
    };
    if !fits(expected, guard(bytes), &[run, created]) {
        return Err("a vector does not match its checksum".to_owned());
    }
    Embedding::from_le_bytes(bytes).map_err(|error| error.to_string())
}
