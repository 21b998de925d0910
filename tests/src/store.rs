//! A look into a SQLite store without the product: what a person with the `sqlite3` shell would see.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

/// A row as it is stored, by its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRow {
    /// "Пример вопроса".
    pub question: String,
    /// "Шаблонный ответ".
    pub answer: String,
    /// "Основная категория".
    pub category: Option<String>,
    /// The source's row.
    pub row: Option<i64>,
    /// Checksum of the vector that the collection serves for it.
    pub vector: Vec<u8>,
}

/// Rows of a collection by id.
pub type StoredTexts = BTreeMap<String, StoredRow>;

/// Opens a store that nobody writes, leaving no trace.
#[must_use]
pub fn open(path: &Path) -> Connection {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    Connection::open_with_flags(format!("file:{}?immutable=1", path.display()), flags).unwrap()
}

/// The rows that readers of a collection see: those with a vector of the version it serves.
#[must_use]
pub fn rows(path: &Path, collection: &str) -> StoredTexts {
    let connection = open(path);
    let mut statement = connection
        .prepare(
            "SELECT r.document, r.chunk, r.title, r.body, r.category, r.locator_row, v.checksum
             FROM collections c
             JOIN embedding_records r ON r.collection_id = c.collection_id
             JOIN record_inputs i ON i.record_id = r.record_id AND i.version_id = c.active_version_id
             JOIN embedding_vectors v ON v.vector_id = i.vector_id
             WHERE c.name = ?1",
        )
        .unwrap();
    let rows = statement.query_map([collection], |row| {
        let (document, chunk): (String, i64) = (row.get(0)?, row.get(1)?);
        let id = if chunk == 0 {
            document
        } else {
            format!("{document}#{chunk}")
        };
        let stored = StoredRow {
            question: row.get(2)?,
            answer: row.get(3)?,
            category: row.get(4)?,
            row: row.get(5)?,
            vector: row.get(6)?,
        };
        Ok((id, stored))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

/// Id by question, of the collection `faq`.
#[must_use]
pub fn texts(path: &Path) -> BTreeMap<String, String> {
    let rows = rows(path, "faq").into_iter();
    rows.map(|(id, row)| (row.question, id)).collect()
}

/// The number that a query gives.
#[must_use]
pub fn scalar(path: &Path, query: &str) -> i64 {
    open(path).query_row(query, (), |row| row.get(0)).unwrap()
}

/// Changes a store behind the product's back, whatever its references say.
pub(crate) fn execute(path: &Path, statement: &str) {
    let connection = Connection::open(path).unwrap();
    connection
        .pragma_update(None, "foreign_keys", false)
        .unwrap();
    connection.execute_batch(statement).unwrap();
    connection.close().unwrap();
}
