//! What a store holds, read without the product.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result};
use rusqlite::Connection;
use storage_core::{ContentHash, InputHash};

/// Everything that a reader can see: every row with its vector, bit for bit, and the generation; and how many versions
/// could be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Digest {
    pub(crate) rows: Vec<u8>,
    generation: i64,
    pub(crate) ready: i64,
}

const ROWS: &str = "\
SELECT c.name, r.document, r.chunk, r.title, r.body, r.category, r.subcategory, r.metadata,
    r.locator_row, r.record_hash, i.input_hash, v.embedding
FROM embedding_records AS r
JOIN collections AS c ON c.collection_id = r.collection_id
JOIN record_inputs AS i ON i.record_id = r.record_id AND i.version_id = c.active_version_id
JOIN embedding_vectors AS v ON v.vector_id = i.vector_id
ORDER BY c.name, r.document, r.chunk";

impl Digest {
    pub(crate) fn of(store: &Path) -> Result<Self> {
        let copy = Copy::of(store)?;
        let mut statement = copy.connection.prepare(ROWS)?;
        let columns = statement.column_count();
        let mut rows = statement.query(())?;
        let mut text = Vec::new();
        while let Some(row) = rows.next()? {
            for column in 0..columns {
                text.extend_from_slice(format!("{:?}|", row.get_ref(column)?).as_bytes());
            }
            text.push(b'\n');
        }
        let number = |sql: &str| copy.connection.query_row(sql, (), |row| row.get(0));
        let ready = "SELECT count(*) FROM collection_versions WHERE state = 'ready'";
        Ok(Self {
            rows: ContentHash::of(&text).as_bytes().to_vec(),
            generation: number("SELECT generation FROM store_state")?,
            ready: number(ready)?,
        })
    }
}

/// Hashes of the texts whose vectors are stored, seen or unseen.
pub(crate) fn stored(store: &Path) -> Result<BTreeSet<Vec<u8>>> {
    let copy = Copy::of(store)?;
    let mut statement = copy
        .connection
        .prepare("SELECT input_hash FROM embedding_vectors")?;
    let hashes = statement.query_map((), |row| row.get(0))?;
    Ok(hashes.collect::<Result<_, _>>()?)
}

/// The hash that a text is stored under.
pub(crate) fn hash(text: &str) -> Vec<u8> {
    InputHash::of(text).as_bytes().to_vec()
}

/// A copy of the files as they are: whoever opens a store with a log repairs it, and that is the product's to do.
struct Copy {
    connection: Connection,
    _directory: tempfile::TempDir,
}

impl Copy {
    fn of(store: &Path) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let copy = directory.path().join("copy.db");
        std::fs::copy(store, &copy).with_context(|| format!("cannot read {}", store.display()))?;
        let mut log = store.as_os_str().to_owned();
        log.push("-wal");
        if Path::new(&log).exists() {
            std::fs::copy(&log, directory.path().join("copy.db-wal"))?;
        }
        Ok(Self {
            connection: Connection::open(&copy)?,
            _directory: directory,
        })
    }
}
