//! One writer at a time, by name; readers never notice.

use std::time::Duration;

use storage_core::{EmbeddingStore, StoreErrorKind};
use storage_sqlite::{
    SqliteOptions, WriterLock, create_or_open, migrate, open, open_read_only, writer,
};

fn options(path: &std::path::Path, who: &str) -> SqliteOptions {
    SqliteOptions::file(path)
        .with_busy_timeout(Duration::ZERO)
        .with_writer(who)
}

#[tokio::test]
async fn a_second_writer_is_told_who_holds_the_store() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("new/s.db");
    let first = create_or_open(&options(&path, "pid 1 on here since noon, sync")).unwrap();
    assert_eq!(
        writer(&path).as_deref(),
        Some("pid 1 on here since noon, sync")
    );
    for refused in [
        open(&options(&path, "two")).map(drop),
        create_or_open(&options(&path, "two")).map(drop),
        migrate(&options(&path, "two")).map(drop),
    ] {
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Busy);
        let said = error.to_string();
        assert!(
            said.contains("held by pid 1 on here since noon, sync"),
            "{said}"
        );
    }
    let reader = open_read_only(&SqliteOptions::file(&path)).unwrap();
    assert_eq!(reader.status().await.unwrap().generation.0, 0);
    drop(first);
    assert_eq!(writer(&path), None);
    open(&options(&path, "two")).unwrap();
}

#[test]
fn two_names_of_one_store_are_one_lock() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.db");
    let _store = create_or_open(&options(&path, "one")).unwrap();
    let link = directory.path().join("link.db");
    #[cfg(unix)]
    std::os::unix::fs::symlink(&path, &link).unwrap();
    #[cfg(unix)]
    assert_eq!(
        open(&options(&link, "two")).unwrap_err().kind(),
        StoreErrorKind::Busy
    );
}

#[test]
fn a_waiting_writer_comes_in_when_the_first_is_done() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.db");
    let first = create_or_open(&options(&path, "one")).unwrap();
    std::thread::scope(|scope| {
        let second = scope.spawn(|| {
            open(&options(&path, "two").with_busy_timeout(Duration::from_secs(60))).map(drop)
        });
        drop(first);
        second.join().unwrap().unwrap();
    });
}

#[test]
fn a_place_without_a_store_gets_no_lock() {
    let directory = tempfile::tempdir().unwrap();
    let error = open(&options(&directory.path().join("none.db"), "one")).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::NotFound);
    let foreign = directory.path().join("foreign.db");
    std::fs::write(&foreign, "a letter").unwrap();
    assert_eq!(
        open(&options(&foreign, "one")).unwrap_err().kind(),
        StoreErrorKind::Foreign
    );
    assert_eq!(
        create_or_open(&options(&foreign, "one"))
            .unwrap_err()
            .kind(),
        StoreErrorKind::Foreign
    );
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn a_lock_without_a_store_is_a_lock_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.db");
    let held = WriterLock::acquire(&path, "restoring", Duration::ZERO).unwrap();
    let error = WriterLock::acquire(&path, "two", Duration::ZERO).unwrap_err();
    assert!(error.to_string().contains("held by restoring"), "{error}");
    drop(held);
    WriterLock::acquire(&path, "two", Duration::ZERO).unwrap();
}
