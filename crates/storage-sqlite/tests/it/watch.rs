//! A store that changes is noticed, whatever becomes of its file.

use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use storage_core::testing::fixture::{document, documents, fill, version};
use storage_core::{EmbeddingStore, Generation, Timestamp};
use storage_sqlite::{SqliteOptions, create_or_open, open, restore, watch};

const OFTEN: Duration = Duration::from_millis(3);

async fn next(told: &mut BoxStream<'static, Generation>) -> Generation {
    let told = tokio::time::timeout(Duration::from_secs(60), told.next()).await;
    told.expect("nothing was told").expect("the watch ended")
}

async fn of(store: &dyn EmbeddingStore) -> Generation {
    store.status().await.unwrap().generation
}

async fn create(path: &Path, rows: usize) -> Generation {
    let store = create_or_open(&SqliteOptions::file(path)).unwrap();
    fill(&store, &version("one"), &documents(rows)).await;
    of(&store).await
}

async fn change(path: &Path, body: &str) -> Generation {
    let store = open(&SqliteOptions::file(path)).unwrap();
    fill(
        &store,
        &version("one"),
        &[document("id-0000", "Вопрос?", body)],
    )
    .await;
    of(&store).await
}

#[tokio::test]
async fn every_change_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.db");
    let first = create(&path, 3).await;
    for options in [
        SqliteOptions::file(&path),
        SqliteOptions::file(&path).staying(),
    ] {
        let mut told = watch(options, OFTEN);
        next(&mut told).await;
        for round in 0..4 {
            let now = change(&path, &format!("{round}")).await;
            assert!(now > first);
            while next(&mut told).await < now {}
        }
    }
}

#[tokio::test]
async fn a_store_that_is_not_there_yet_is_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("deep").join("s.db");
    let mut told = watch(SqliteOptions::file(&path), OFTEN);
    assert!(tokio::time::timeout(10 * OFTEN, told.next()).await.is_err());
    let now = create(&path, 1).await;
    while next(&mut told).await < now {}
}

#[tokio::test]
async fn a_store_that_is_gone_or_damaged_or_replaced_is_found_again() {
    let directory = tempfile::tempdir().unwrap();
    let (path, backup) = (directory.path().join("s.db"), directory.path().join("b.db"));
    let first = create(&path, 3).await;
    storage_sqlite::backup(&SqliteOptions::file(&path), &backup, true, false).unwrap();
    let mut told = watch(SqliteOptions::file(&path), OFTEN);
    assert_eq!(next(&mut told).await, first);

    // Back to the same number, in another file.
    restore(&SqliteOptions::file(&path), &backup, false, Timestamp(1)).unwrap();
    assert_eq!(next(&mut told).await, first);
    let second = change(&path, "anders").await;
    while next(&mut told).await < second {}
    restore(&SqliteOptions::file(&path), &backup, false, Timestamp(2)).unwrap();
    assert_eq!(next(&mut told).await, first);

    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "no store at all".repeat(100)).unwrap();
    restore(&SqliteOptions::file(&path), &backup, true, Timestamp(3)).unwrap();
    assert_eq!(next(&mut told).await, first);
    let third = change(&path, "wieder anders").await;
    while next(&mut told).await < third {}
}
