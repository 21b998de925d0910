//! Damaged stores: reported, never trusted, never a panic.

use std::fs;
use std::path::{Path, PathBuf};

use futures_util::TryStreamExt;
use rusqlite::Connection;
use storage_core::testing::{Snapshot, fixture, snapshot};
use storage_core::{EmbeddingStore, Filter, StoreErrorKind, check_names as names};
use storage_sqlite::{SqliteOptions, create_or_open, open, open_read_only};
use tempfile::TempDir;

async fn filled(rows: usize) -> (TempDir, PathBuf, Snapshot) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    // A small page leaves little room between the bytes that matter.
    let options = SqliteOptions::file(&path).with_dimensions(Some(8));
    let store = create_or_open(&options).unwrap();
    let one = fixture::version("one");
    fixture::fill(&store, &one, &fixture::documents(rows)).await;
    let seen = snapshot(&store).await;
    (directory, path, seen)
}

fn tamper(path: &Path, sql: &str) {
    let conn = Connection::open(path).unwrap();
    conn.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON;")
        .unwrap();
    conn.execute_batch(sql).unwrap();
}

async fn scan(store: &dyn EmbeddingStore) -> storage_core::Result<usize> {
    let rows: Vec<_> = store
        .scan(&fixture::faq(), None, Filter::default())
        .try_collect()
        .await?;
    Ok(rows.len())
}

#[tokio::test]
async fn a_flipped_bit_in_a_vector_is_found() {
    let (_directory, path, seen) = filled(20).await;
    // The last byte of one vector's exact bytes, in the raw file: SQLite itself sees nothing.
    let vector = seen.collections[0].records[7].embedding.to_le_bytes();
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes
        .windows(vector.len())
        .position(|window| window == vector)
        .unwrap();
    bytes[at + 4] ^= 1;
    fs::write(&path, bytes).unwrap();
    let options = SqliteOptions::file(&path);
    for store in [open(&options).unwrap(), open_read_only(&options).unwrap()] {
        let error = scan(&store).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt);
        assert!(error.to_string().contains("id-0007"), "{error}");
        let report = store.check().await.unwrap();
        let wrong: Vec<_> = report.checks.iter().filter(|check| !check.ok).collect();
        assert_eq!(wrong.len(), 1, "{wrong:?}");
        assert_eq!(
            (wrong[0].name, &*wrong[0].found),
            (names::VECTOR_HASHES, "1")
        );
    }
}

#[tokio::test]
async fn every_kind_of_damage_has_its_check() {
    for (sql, expected) in [
        (
            "UPDATE embedding_records SET body = 'x' WHERE document = 'id-0003'",
            &[names::CONTENT_HASHES][..],
        ),
        (
            "UPDATE embedding_records SET metadata = 'no json' WHERE document = 'id-0003'",
            &[names::CONTENT_HASHES],
        ),
        (
            "UPDATE embedding_records SET record_hash = zeroblob(32) WHERE document = 'id-0003'",
            &[names::CONTENT_HASHES],
        ),
        (
            "UPDATE embedding_records SET locator_row = 99 WHERE document = 'id-0003'",
            &[names::CONTENT_HASHES],
        ),
        (
            "UPDATE embedding_records SET document = 'id-0103' WHERE document = 'id-0003'",
            &[names::CONTENT_HASHES],
        ),
        (
            "UPDATE record_inputs SET vector_id = 1",
            &[names::CONTENT_HASHES, names::ORPHANS],
        ),
        (
            "UPDATE embedding_vectors SET checksum = zeroblob(32) WHERE vector_id = 2",
            &[names::VECTOR_HASHES],
        ),
        (
            "UPDATE embedding_vectors SET guard = 0 WHERE vector_id = 2",
            &[names::VECTOR_HASHES],
        ),
        (
            "UPDATE embedding_vectors SET embedding = zeroblob(32) WHERE vector_id = 2",
            &[names::VECTOR_HASHES],
        ),
        (
            "UPDATE embedding_vectors SET embedding = x'00' WHERE vector_id = 2",
            &[names::VECTOR_HASHES],
        ),
        (
            "DELETE FROM record_inputs WHERE vector_id = 3",
            &[names::TEMPLATES],
        ),
        (
            "DELETE FROM embedding_vectors WHERE vector_id = 3",
            &[names::TEMPLATES, names::ORPHANS, names::FOREIGN_KEYS],
        ),
        (
            "UPDATE collections SET record_count = 21",
            &[names::TEMPLATES],
        ),
        (
            "UPDATE collection_versions SET record_count = 19",
            &[names::TEMPLATES],
        ),
        (
            "UPDATE collection_versions SET recipe = '{question}'",
            &[names::CONTENT_HASHES],
        ),
        ("DELETE FROM category_counts", &[names::CATEGORIES]),
        (
            "UPDATE category_counts SET record_count = 19",
            &[names::CATEGORIES],
        ),
        (
            "UPDATE collection_versions SET state = 'building'",
            &[names::EMBEDDING_VERSION],
        ),
        (
            "UPDATE store_state SET generation = 5",
            &[names::GENERATION],
        ),
    ] {
        let (_directory, path, _) = filled(20).await;
        tamper(&path, sql);
        let store = open_read_only(&SqliteOptions::file(&path)).unwrap();
        let report = store.check().await.unwrap();
        let wrong: Vec<_> = report
            .checks
            .iter()
            .filter(|check| !check.ok)
            .map(|check| check.name)
            .collect();
        assert_eq!(wrong, expected, "{sql}: {:?}", report.checks);
    }
}

#[tokio::test]
async fn a_row_without_a_vector_is_found_and_ends_a_scan() {
    let (_directory, path, _) = filled(20).await;
    tamper(&path, "DELETE FROM record_inputs WHERE vector_id = 3");
    let store = open(&SqliteOptions::file(&path)).unwrap();
    assert_eq!(
        scan(&store).await.unwrap_err().kind(),
        StoreErrorKind::Corrupt
    );
    let (_, fingerprints) = store.fingerprints(&fixture::faq()).await.unwrap();
    let without = fingerprints
        .iter()
        .filter(|row| row.vector.is_none())
        .count();
    assert_eq!(without, 1);
}

/// Overwrites places all over the file. Whatever is hit, nothing panics, and what is served is what was stored, or
/// `check` says that it is not.
#[tokio::test]
async fn random_damage_is_reported_or_harmless() {
    let (_directory, path, before) = filled(60).await;
    let whole = fs::read(&path).unwrap();
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let (mut refused, mut found, mut harmless) = (0, 0, 0);
    for _ in 0..150 {
        let mut bytes = whole.clone();
        // The header's first hundred bytes have tests of their own.
        let at = 100 + usize::try_from(random()).unwrap() % (bytes.len() - 100);
        match random() % 3 {
            0 => bytes[at] ^= 1 << (random() % 8),
            1 => {
                let end = bytes
                    .len()
                    .min(at + 1 + usize::try_from(random()).unwrap() % 64);
                for byte in &mut bytes[at..end] {
                    *byte = random().to_le_bytes()[0];
                }
            }
            _ => bytes.truncate(at),
        }
        fs::write(&path, &bytes).unwrap();
        let store = match open_read_only(&SqliteOptions::file(&path)) {
            Ok(store) => store,
            Err(error) => {
                assert_ne!(error.kind(), StoreErrorKind::Internal, "{error:?}");
                refused += 1;
                continue;
            }
        };
        let sound = store.check().await.is_ok_and(|report| report.is_ok());
        if !sound {
            found += 1;
            // Reading may fail; it must not panic.
            drop(store.status().await);
            drop(store.fingerprints(&fixture::faq()).await);
            drop(scan(&store).await);
            continue;
        }
        harmless += 1;
        let after = snapshot(&store).await;
        assert_eq!(after.collections[0].records, before.collections[0].records);
    }
    println!("refused {refused}, found {found}, harmless {harmless}");
    assert!(refused + found > 50);
}

/// The store, its log and the log's index, as they lie there while somebody writes.
async fn in_use(rows: usize) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("working.db");
    let store = create_or_open(&SqliteOptions::file(&path)).unwrap();
    let one = fixture::version("one");
    fixture::fill(&store, &one, &fixture::documents(rows)).await;
    let copy = directory.path().join("copy.db");
    for suffix in ["", "-wal", "-shm"] {
        let beside = |path: &Path| PathBuf::from(format!("{}{suffix}", path.display()));
        fs::copy(beside(&path), beside(&copy)).unwrap();
    }
    (directory, copy)
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_index_from_before_the_system_started_proves_nothing() {
    let (_directory, path) = in_use(20).await;
    fs::remove_file(format!("{}-wal", path.display())).unwrap();
    // A process was killed, and then the log went: what it had committed is lost, and the index tells.
    let error = open(&SqliteOptions::file(&path)).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Corrupt);
    assert!(
        error.to_string().contains("smart-support repair"),
        "{error}"
    );
    // After a power cut the index is any earlier state of it, and the log may have gone in peace.
    let index = fs::File::options()
        .write(true)
        .open(format!("{}-shm", path.display()))
        .unwrap();
    index
        .set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(86_400))
        .unwrap();
    assert!(open(&SqliteOptions::file(&path)).is_ok());
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", path.display()))
}

#[tokio::test]
async fn a_damaged_log_is_not_passed_over_by_whoever_holds_the_lock() {
    let (_directory, path) = in_use(20).await;
    let log = beside(&path, "-wal");
    let mut bytes = fs::read(&log).unwrap();
    bytes[32 + 24 + 200] ^= 1;
    fs::write(&log, &bytes).unwrap();
    let options = SqliteOptions::file(&path).with_writer("a test");
    for refused in [
        open(&options).map(drop),
        create_or_open(&options).map(drop),
        storage_sqlite::migrate(&options).map(drop),
    ] {
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error}");
        assert_eq!(fs::read(&log).unwrap(), bytes, "the log is evidence");
    }
}

#[tokio::test]
async fn a_log_that_a_cut_off_replacement_put_aside_comes_back() {
    let (_directory, path) = in_use(20).await;
    // As a restore or a repair leaves it that is killed just before its rename.
    fs::remove_file(beside(&path, "-shm")).unwrap();
    fs::rename(beside(&path, "-wal"), beside(&path, ".replaced-wal")).unwrap();
    fs::hard_link(&path, beside(&path, ".replaced")).unwrap();
    let options = SqliteOptions::file(&path).with_writer("a test");
    let how = storage_sqlite::RepairOptions::default();
    storage_sqlite::repair(&options, how, storage_core::Timestamp(0)).unwrap();
    let store = open(&options).unwrap();
    assert_eq!(scan(&store).await.unwrap(), 20);
    assert!(!beside(&path, ".replaced").exists());
}
