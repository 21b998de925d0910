//! The schema's history: applied once, checked always, refused without a change.

use std::fs;
use std::path::Path;
use std::sync::Barrier;

use rusqlite::Connection;
use storage_core::testing::{fixture, refused};
use storage_core::{Migration, StoreErrorKind};
use storage_sqlite::{
    SqliteOptions, create_or_open, migrate, open, open_read_only, schema_latest, schema_status,
};

/// Every statement of a schema, as SQLite keeps it.
fn dump(path: &Path) -> Vec<(String, Option<String>)> {
    let conn = Connection::open(path).unwrap();
    let mut statement = conn
        .prepare("SELECT name, sql FROM sqlite_schema ORDER BY name")
        .unwrap();
    let rows = statement
        .query_map((), |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    rows.map(Result::unwrap).collect()
}

fn migrations() -> Vec<Migration> {
    vec![
        Migration {
            version: 1,
            name: "create_tables",
            sql: include_str!("../../migrations/0001_create_tables.sql"),
        },
        Migration {
            version: 2,
            name: "versions_of_collections",
            sql: include_str!("../../migrations/0002_versions_of_collections.sql"),
        },
    ]
}

/// Runs SQL on a closed store and leaves one file behind.
fn tamper(path: &Path, sql: &str) {
    let conn = Connection::open(path).unwrap();
    conn.execute_batch(sql).unwrap();
}

#[test]
fn a_fresh_schema_equals_the_migrated_one() {
    let directory = tempfile::tempdir().unwrap();
    let fresh = directory.path().join("fresh.db");
    migrate(&SqliteOptions::file(&fresh)).unwrap();
    let replayed = directory.path().join("replayed.db");
    for migration in migrations() {
        tamper(&replayed, migration.sql);
    }
    assert_eq!(dump(&fresh), dump(&replayed));
    assert_eq!(migrations().last().unwrap().version, schema_latest());
    let objects = dump(&fresh);
    for table in [
        "schema_migrations",
        "store_state",
        "collections",
        "collection_versions",
        "embedding_spaces",
        "canaries",
        "embedding_vectors",
        "embedding_records",
        "record_inputs",
        "sources",
        "runs",
        "run_undo",
        "category_counts",
    ] {
        let (_, sql) = objects.iter().find(|(name, _)| name == table).unwrap();
        assert!(sql.as_ref().unwrap().contains("STRICT"), "{table}");
    }
}

#[test]
fn migrations_are_listed_and_recorded() {
    let listed = include_str!("../../migrations/CHECKSUMS");
    let mut files: Vec<_> = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".sql"))
        .collect();
    files.sort();
    let names: Vec<_> = listed
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(names, files);

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    migrate(&SqliteOptions::file(&path)).unwrap();
    let conn = Connection::open(&path).unwrap();
    let recorded: Vec<(u32, String, Vec<u8>)> = conn
        .prepare("SELECT version, name, checksum FROM schema_migrations ORDER BY version")
        .unwrap()
        .query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let expected: Vec<_> = migrations()
        .iter()
        .map(|migration| {
            let checksum = migration.checksum().as_bytes().to_vec();
            (migration.version, migration.name.to_owned(), checksum)
        })
        .collect();
    assert_eq!(recorded, expected);
}

#[test]
fn migrating_again_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let options = SqliteOptions::file(&path);
    migrate(&options).unwrap();
    let before = fs::read(&path).unwrap();
    let again = migrate(&options).unwrap();
    assert_eq!(again.before, again.after);
    assert_eq!(again.before.current, schema_latest());
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_store_of_another_schema_is_refused_untouched() {
    for (sql, kind, migrates) in [
        (
            "PRAGMA user_version = 99; INSERT INTO schema_migrations VALUES (3, 'next', zeroblob(32), 0)",
            StoreErrorKind::SchemaNew,
            false,
        ),
        (
            "INSERT INTO schema_migrations VALUES (3, 'next', zeroblob(32), 0)",
            StoreErrorKind::SchemaNew,
            false,
        ),
        (
            "UPDATE schema_migrations SET checksum = zeroblob(32)",
            StoreErrorKind::Corrupt,
            false,
        ),
        (
            "DROP TABLE schema_migrations; PRAGMA user_version = 0",
            StoreErrorKind::SchemaOld,
            true,
        ),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.db");
        let options = SqliteOptions::file(&path);
        let store = create_or_open(&options).unwrap();
        fixture::fill(&store, &fixture::version("one"), &fixture::documents(3)).await;
        drop(store);
        tamper(&path, sql);
        let before = fs::read(&path).unwrap();
        refused(open(&options), kind);
        refused(open_read_only(&options), kind);
        if migrates {
            let status = schema_status(&options).unwrap();
            assert_eq!(status.current, 0);
            assert_eq!(status.pending.len(), migrations().len());
            let message = open(&options).unwrap_err().to_string();
            assert!(
                message.contains("smart-support schema migrate"),
                "{message}"
            );
        } else {
            refused(schema_status(&options), kind);
            refused(migrate(&options), kind);
            refused(create_or_open(&options), kind);
        }
        assert!(
            fs::read(&path).unwrap() == before,
            "{sql}: the file changed"
        );
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "{sql}");
    }
}

/// Eight at once, many times over: each step is applied by one of them, and all go on.
#[test]
fn many_may_migrate_at_once() {
    const PROCESSES: usize = 8;
    for round in 0..10 {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new").join("store.db");
        let options = SqliteOptions::file(&path).with_dimensions(Some([8, 384][round % 2]));
        let barrier = Barrier::new(PROCESSES);
        let migrated: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..PROCESSES)
                .map(|_| {
                    scope.spawn(|| {
                        barrier.wait();
                        let migrated = migrate(&options).unwrap();
                        drop(open(&options).unwrap());
                        migrated
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        let firsts = migrated
            .iter()
            .filter(|migrated| migrated.before.current == 0)
            .count();
        assert_eq!(firsts, 1, "round {round}");
        let conn = Connection::open(&path).unwrap();
        let (applied, mode): (u32, String) = (
            conn.query_row("SELECT count(*) FROM schema_migrations", (), |row| {
                row.get(0)
            })
            .unwrap(),
            conn.pragma_query_value(None, "journal_mode", |row| row.get(0))
                .unwrap(),
        );
        assert_eq!((applied, mode.as_str()), (schema_latest(), "wal"));
    }
}

#[test]
fn the_page_size_follows_the_dimensions() {
    for (dimensions, expected) in [(None, 65_536), (Some(1_024), 65_536), (Some(384), 32_768)] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.db");
        migrate(&SqliteOptions::file(&path).with_dimensions(dimensions)).unwrap();
        let found: u32 = Connection::open(&path)
            .unwrap()
            .pragma_query_value(None, "page_size", |row| row.get(0))
            .unwrap();
        assert_eq!(found, expected);
    }
}
