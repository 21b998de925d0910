//! Stores to damage: one of a process that ended well, one of a process that was killed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use storage_core::testing::{
    Snapshot,
    fixture::{self, Made},
    snapshot,
};
use storage_core::{
    Document, EmbeddingStore, Generation, Locator, MetadataValue, RunKind, RunRecord, RunState,
    Timestamp,
};
use storage_sqlite::{SqliteOptions, SqliteStore, create_or_open, open_read_only};
use tempfile::TempDir;

const ROWS: usize = 120;
const DIMENSIONS: u32 = 64;
pub(crate) const SIDECARS: [&str; 3] = ["", "-wal", "-shm"];

/// xorshift64*: the same damages on every machine.
pub(crate) struct Random(u64);

impl Random {
    /// Seeded by `SEED`, or as always; says so.
    pub(crate) fn seeded(name: &str, part: u64) -> Self {
        let seed = std::env::var("SEED")
            .ok()
            .and_then(|seed| seed.parse().ok())
            .unwrap_or(0x2545_f491_4f6c_dd1d_u64);
        println!("{name}: SEED={seed}");
        Self(seed.wrapping_mul(part).max(1))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }
}

pub(crate) fn version() -> Made {
    let mut made = fixture::version_of(fixture::model("chaos", DIMENSIONS), "");
    made.space.created_at = Timestamp(1_763_700_000_000);
    made
}

fn documents(round: usize) -> Vec<Document> {
    let mut documents = fixture::documents(ROWS);
    for (number, document) in documents.iter_mut().enumerate() {
        let round = if number % 3 == 0 { round } else { 0 };
        document.body = format!(
            "Ответ номер {number}, редакция {round}. {}",
            "Откройте приложение и выберите раздел. ".repeat(1 + number % 7)
        );
        document.category = Some(["Карты", "Счета", "Вклады"][number % 3].to_owned());
        document.subcategory = (number % 2 == 0).then(|| "Общее".to_owned());
        document.metadata.insert(
            "priority".to_owned(),
            MetadataValue::I64(i64::try_from(number % 5).unwrap()),
        );
        document.locator = Locator {
            sheet: Some("FAQ".to_owned()),
            row: Some(number as u64 + 2),
            ..Locator::default()
        };
    }
    documents
}

/// A store with a history: three rounds of edits, rows that were deleted, vectors that no row needs any more.
async fn store(path: &Path) -> SqliteStore {
    let options = SqliteOptions::file(path).with_dimensions(Some(DIMENSIONS));
    let store = create_or_open(&options).unwrap();
    for round in 0..3u64 {
        let record = RunRecord {
            id: fixture::run(&format!("run-{round}")),
            kind: RunKind::Sync,
            collection: fixture::faq(),
            source: Some(fixture::sheet()),
            version: Some(version().id),
            state: RunState::Finished,
            requests: 12,
            texts: 120,
            tokens: 4_000,
            started_at: Timestamp(1_763_700_000_000),
            finished_at: Some(Timestamp(1_763_700_100_000)),
        };
        store.record_run(&record).await.unwrap();
        fill(&store, &documents(usize::try_from(round).unwrap())).await;
        let mut extra = fixture::change(Generation(2 * round + 1));
        extra.deletes = vec![fixture::key("id-0119")];
        store.apply(extra).await.unwrap();
    }
    store
}

/// As a sync does it, at a time of today: the clock's numbers take six bytes, and a fixture's two.
async fn fill(store: &SqliteStore, documents: &[Document]) {
    const NOW: Timestamp = Timestamp(1_763_700_050_123);
    let version = version();
    store.register_space(&version.space).await.unwrap();
    let vectors: Vec<_> = documents
        .iter()
        .map(|document| fixture::stored_vector(&version, document))
        .collect();
    let spend = fixture::unpaid("run-0");
    store.put_embeddings(&vectors, &spend, NOW).await.unwrap();
    let mut changes = fixture::change(fixture::generation(store, &fixture::faq()).await);
    changes.applied_at = NOW;
    changes.run = fixture::run("run-0");
    changes.upserts = documents
        .iter()
        .map(|document| fixture::row(document, &[&version]))
        .collect();
    changes.register = Some(version.spec);
    changes.activate = Some(version.id);
    store.apply(changes).await.unwrap();
}

/// A store of a process that ended well: one file.
pub(crate) struct Whole {
    _directory: TempDir,
    pub(crate) files: BTreeMap<&'static str, Vec<u8>>,
    pub(crate) seen: Snapshot,
    pub(crate) page: usize,
    /// The pages of each row and of its vector, by the row's id, and of the version.
    pub(crate) rows: BTreeMap<String, (BTreeSet<usize>, BTreeSet<usize>)>,
    pub(crate) version: BTreeSet<usize>,
}

impl Whole {
    pub(crate) async fn closed() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.db");
        drop(store(&path).await);
        Self::of(directory, &path).await
    }

    /// A store of a process that was killed: what it committed last is in the log.
    pub(crate) async fn killed() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.db");
        let store = store(&path).await;
        let elsewhere = tempfile::tempdir().unwrap();
        let copy = elsewhere.path().join("store.db");
        for suffix in SIDECARS {
            fs::copy(beside(&path, suffix), beside(&copy, suffix)).unwrap();
        }
        drop(store);
        assert!(fs::metadata(beside(&copy, "-wal")).unwrap().len() > 100_000);
        Self::of(elsewhere, &copy).await
    }

    async fn of(directory: TempDir, path: &Path) -> Self {
        let files: BTreeMap<_, _> = SIDECARS
            .into_iter()
            .filter_map(|suffix| Some((suffix, fs::read(beside(path, suffix)).ok()?)))
            .collect();
        let page = usize::from(u16::from_be_bytes([files[""][16], files[""][17]]));
        let store = open_read_only(&SqliteOptions::file(path)).unwrap();
        assert!(store.check().await.unwrap().is_ok());
        let seen = snapshot(&store).await;
        drop(store);
        assert_eq!(seen.collections[0].records.len(), ROWS - 1);
        let pages = |bytes: &[u8]| -> BTreeSet<usize> {
            let found = files[""].windows(bytes.len()).enumerate();
            found
                .filter(|(_, window)| *window == bytes)
                .map(|(at, _)| at / page)
                .collect()
        };
        let rows = seen.collections[0].records.iter().map(|row| {
            let (text, vector) = (&row.document.body, row.embedding.to_le_bytes());
            let found = (pages(text.as_bytes()), pages(&vector));
            (row.document.key.document.clone(), found)
        });
        Self {
            rows: rows.collect(),
            version: pages(version().space.id.as_str().as_bytes()),
            _directory: directory,
            files,
            seen,
            page,
        }
    }
}

pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", path.display()))
}

/// Every value of every table, as far as SQLite reads it.
pub(crate) fn dump(path: &Path) -> Option<Vec<(String, String)>> {
    let conn = Connection::open(path).ok()?;
    let names: Vec<String> = conn
        .prepare(
            "SELECT name FROM sqlite_schema WHERE type = 'table'
             UNION ALL SELECT 'sqlite_schema' ORDER BY name",
        )
        .ok()?
        .query_map((), |row| row.get(0))
        .ok()?
        .collect::<Result<_, _>>()
        .ok()?;
    let mut all = Vec::new();
    for name in names {
        let mut statement = conn.prepare(&format!("SELECT * FROM {name}")).ok()?;
        // By number: a damaged name may be no text.
        let columns = statement.column_count();
        let mut rows = statement.query(()).ok()?;
        while let Some(row) = rows.next().ok()? {
            for at in 0..columns {
                let value = format!("{:?}", row.get_ref(at).ok()?);
                all.push((format!("{name} column {at}"), value));
            }
        }
    }
    Some(all)
}

/// Writes the files of a store, and removes what is not among them.
pub(crate) fn write(path: &Path, files: &BTreeMap<&'static str, Vec<u8>>) {
    for suffix in SIDECARS {
        match files.get(suffix) {
            Some(bytes) => fs::write(beside(path, suffix), bytes).unwrap(),
            None => drop(fs::remove_file(beside(path, suffix))),
        }
    }
}
