//! Places that are no store, not yet a store, or a store that must not be written to: the right answer, and not a
//! byte changed, nor a file made.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::TryStreamExt;
use storage_core::testing::{fixture, refused, snapshot};
use storage_core::{EmbeddingStore, Filter, Generation, StoreErrorKind};
use storage_sqlite::{SqliteOptions, create_or_open, migrate, open, open_read_only, schema_status};

/// Names and bytes of everything in a directory.
fn contents(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), fs::read(path).unwrap_or_default()))
        .collect()
}

async fn filled(path: &Path, rows: usize) -> SqliteOptions {
    let options = SqliteOptions::file(path);
    let store = create_or_open(&options).unwrap();
    fixture::fill(&store, &fixture::version("one"), &fixture::documents(rows)).await;
    options
}

#[test]
fn a_missing_file_is_named_and_not_created() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("no").join("store.db");
    let options = SqliteOptions::file(&path);
    for outcome in [open(&options), open_read_only(&options)] {
        let message = outcome.as_ref().unwrap_err().to_string();
        assert!(message.contains(&path.display().to_string()), "{message}");
        refused(outcome, StoreErrorKind::NotFound);
    }
    refused(schema_status(&options), StoreErrorKind::NotFound);
    assert!(contents(directory.path()).is_empty());
}

#[test]
fn what_is_not_ours_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let text = directory.path().join("notes.txt");
    fs::write(&text, "Вопрос;Ответ\n".repeat(100)).unwrap();
    let short = directory.path().join("short");
    fs::write(&short, "SQLite format 3\0").unwrap();
    let other = directory.path().join("other.db");
    rusqlite::Connection::open(&other)
        .unwrap()
        .execute_batch("CREATE TABLE embeddings (id, embedding); PRAGMA user_version = 1;")
        .unwrap();
    let before = contents(directory.path());
    for path in [&text, &short, &other] {
        let options = SqliteOptions::file(path);
        refused(open(&options), StoreErrorKind::Foreign);
        refused(open_read_only(&options), StoreErrorKind::Foreign);
        refused(schema_status(&options), StoreErrorKind::Foreign);
        refused(migrate(&options), StoreErrorKind::Foreign);
        refused(create_or_open(&options), StoreErrorKind::Foreign);
    }
    assert_eq!(contents(directory.path()), before);
}

#[test]
fn a_directory_is_no_store() {
    let directory = tempfile::tempdir().unwrap();
    let options = SqliteOptions::file(directory.path());
    refused(open(&options), StoreErrorKind::Foreign);
    refused(open_read_only(&options), StoreErrorKind::Foreign);
    refused(schema_status(&options), StoreErrorKind::Foreign);
    refused(migrate(&options), StoreErrorKind::Foreign);
    // Nor is a path below a file.
    let file = directory.path().join("file");
    fs::write(&file, "x").unwrap();
    let below = SqliteOptions::file(file.join("store.db"));
    refused(open(&below), StoreErrorKind::Io);
    refused(migrate(&below), StoreErrorKind::Io);
}

#[tokio::test]
async fn an_empty_file_is_a_place_for_a_store() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    fs::write(&path, "").unwrap();
    let options = SqliteOptions::file(&path);
    refused(open(&options), StoreErrorKind::SchemaOld);
    refused(open_read_only(&options), StoreErrorKind::SchemaOld);
    assert_eq!(schema_status(&options).unwrap().current, 0);
    assert_eq!(fs::metadata(&path).unwrap().len(), 0);
    let migrated = migrate(&options).unwrap();
    assert_eq!(migrated.before.current, 0);
    assert_eq!(
        migrated.before.pending,
        ["0001_create_tables", "0002_versions_of_collections"]
    );
    assert_eq!(migrated.after, schema_status(&options).unwrap());
    assert!(open(&options).unwrap().check().await.unwrap().is_ok());
}

#[test]
fn a_new_store_is_its_owners_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a").join("b").join("store.db");
    let store = create_or_open(&SqliteOptions::file(&path)).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(&path.with_file_name("store.db-wal")), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    assert_eq!(mode(&directory.path().join("a")), 0o700);
    drop(store);
    let names: Vec<_> = contents(path.parent().unwrap()).into_keys().collect();
    assert_eq!(names, [path], "closing leaves one file");
}

#[tokio::test]
async fn reading_leaves_no_trace() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let options = filled(&path, 300).await;
    let before = contents(directory.path());
    assert_eq!(before.len(), 1);
    let store = open_read_only(&options).unwrap();
    let seen = snapshot(&store).await;
    assert_eq!(seen.collections[0].records.len(), 300);
    assert!(store.check().await.unwrap().is_ok());
    assert_eq!(contents(directory.path()), before);
    refused(
        store.apply(fixture::change(Generation(1))).await,
        StoreErrorKind::Io,
    );
    refused(
        store.register_space(&fixture::version("two").space).await,
        StoreErrorKind::Io,
    );
    drop(store);
    assert_eq!(contents(directory.path()), before);
}

/// The superuser may write anywhere, so permissions prove nothing to it: then this says so and checks the rest.
#[tokio::test]
async fn a_read_only_place_can_be_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let options = filled(&path, 3).await;
    let set =
        |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    set(&path, 0o400);
    set(directory.path(), 0o500);
    let store = open_read_only(&options).unwrap();
    let rows: Vec<_> = store
        .scan(&fixture::faq(), None, Filter::default())
        .try_collect()
        .await
        .unwrap();
    assert_eq!(rows.len(), 3);
    assert_eq!(contents(directory.path()).len(), 1);
    let bound = fs::File::create(directory.path().join("probe")).is_err();
    if bound {
        refused(open(&options), StoreErrorKind::Io);
        refused(
            migrate(&SqliteOptions::file(directory.path().join("new.db"))),
            StoreErrorKind::Io,
        );
    } else {
        println!("skipped: permissions do not bind this user");
    }
    set(directory.path(), 0o700);
}

/// A reader without locks beside a writer: it sees one generation or the next, and notices a checkpoint.
#[tokio::test]
async fn a_reader_without_locks_is_never_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let options = filled(&path, 600).await;
    let reader = open_read_only(&options).unwrap();
    let first = snapshot(&reader).await;
    let one = fixture::version("one");
    for round in 1..=4u64 {
        let store = open(&options).unwrap();
        let mut rows = fixture::documents(600);
        for row in &mut rows {
            row.body = format!("Раунд {round}.");
        }
        fixture::fill(&store, &one, &rows).await;
        let expected = snapshot(&store).await;
        assert_eq!(expected.generation, Generation(round + 1));
        assert_ne!(expected, first);
        // With the writer open the news are in its log; after it closed they are in the file.
        assert_eq!(snapshot(&reader).await, expected);
        drop(store);
        assert_eq!(snapshot(&reader).await, expected);
    }
}

/// A scan without locks that is overtaken by a checkpoint ends with an error or with what it began with.
#[tokio::test]
async fn a_scan_without_locks_is_never_mixed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let options = filled(&path, 3_000).await;
    let reader = open_read_only(&options).unwrap();
    let mut scan = reader.scan(&fixture::faq(), None, Filter::default());
    let mut rows = vec![scan.try_next().await.unwrap().unwrap()];
    let store = open(&options).unwrap();
    let mut edited = fixture::documents(3_000);
    for row in &mut edited {
        row.body = "Другое.".to_owned();
    }
    fixture::fill(&store, &fixture::version("one"), &edited).await;
    drop(store);
    let outcome: Result<Vec<_>, _> = scan.try_collect().await;
    match outcome {
        Ok(rest) => rows.extend(rest),
        Err(error) => assert_eq!(error.kind(), StoreErrorKind::Busy, "{error}"),
    }
    assert!(rows.iter().all(|row| row.document.body != "Другое."));
}

#[tokio::test]
async fn a_writer_that_waits_in_vain_is_busy() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let options = filled(&path, 3)
        .await
        .with_busy_timeout(Duration::from_millis(50));
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let store = open(&options).unwrap();
    let error = store
        .apply(fixture::change(Generation(1)))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Busy);
    assert!(error.to_string().contains("store.db"), "{error}");
    // Readers are not held up.
    assert_eq!(store.status().await.unwrap().collections[0].records, 3);
    other.execute_batch("ROLLBACK").unwrap();
    store.apply(fixture::change(Generation(1))).await.unwrap();
}

/// Everything works with no runtime at all: the store needs threads, not a reactor.
#[test]
fn no_runtime_is_needed() {
    let store = storage_sqlite::open_in_memory().unwrap();
    futures_util::FutureExt::now_or_never(async {}).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        fixture::fill(&store, &fixture::version("one"), &fixture::documents(2)).await;
    });
    drop(runtime);
    let rows: Vec<_> = futures_executor_block_on(
        store
            .scan(&fixture::faq(), None, Filter::default())
            .try_collect::<Vec<_>>(),
    )
    .unwrap();
    assert_eq!(rows.len(), 2);
}

/// A poor man's executor: polls until ready.
fn futures_executor_block_on<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        std::thread::yield_now();
    }
}

/// A store that was just opened has an empty log. Its scans must not mistake that for a store nobody writes to.
#[tokio::test]
async fn a_scan_beside_its_own_writer_is_isolated_from_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let options = filled(&directory.path().join("store.db"), 3_000).await;
    let store = open(&options).unwrap();
    let mut scan = store.scan(&fixture::faq(), None, Filter::default());
    let mut rows = vec![scan.try_next().await.unwrap().unwrap()];
    let mut edited = fixture::documents(3_000);
    for row in &mut edited {
        row.body = "Другое. ".repeat(200);
    }
    // Enough to fill the log beyond the size at which it is copied into the file.
    fixture::fill(&store, &fixture::version("one"), &edited).await;
    rows.extend(scan.try_collect::<Vec<_>>().await.unwrap());
    assert_eq!(rows.len(), 3_000);
    assert!(
        rows.iter()
            .all(|row| row.document.body.starts_with("Ответ"))
    );
}
