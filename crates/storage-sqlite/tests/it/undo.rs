//! What imports replaced, in a damaged store: reported, never restored wrong, and none of anybody else's business.

use std::path::PathBuf;

use rusqlite::Connection;
use storage_core::testing::fixture::{self, Made, faq};
use storage_core::{
    EmbeddingStore, StoreErrorKind, Timestamp, UndoPolicy, UndoRow, check_names as names,
};
use storage_sqlite::{RepairOptions, SqliteOptions, create_or_open, open, repair};
use tempfile::TempDir;

/// A store in which an import has replaced a row and deleted another.
async fn imported() -> (TempDir, PathBuf, Made) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let store = create_or_open(&SqliteOptions::file(&path)).unwrap();
    let one = fixture::version("one");
    fixture::fill(&store, &one, &fixture::documents(20)).await;
    let text = fixture::document("id-0003", "Иначе?", "Да.");
    fixture::put(&store, &one, std::slice::from_ref(&text)).await;
    let mut changes = fixture::change(fixture::generation(&store, &faq()).await);
    changes.undo = UndoPolicy::Keep;
    changes.run = fixture::run("moving");
    changes.upserts = vec![fixture::row(&text, &[&one])];
    changes.deletes = vec![fixture::key("id-0007")];
    store.apply(changes).await.unwrap();
    (directory, path, one)
}

async fn told(store: &dyn EmbeddingStore) -> storage_core::Result<Vec<UndoRow>> {
    Ok(store.undo(&faq(), &fixture::run("moving")).await?.1)
}

fn tamper(path: &std::path::Path, sql: &str) {
    Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

#[tokio::test]
async fn a_damaged_kept_row_is_reported_and_restores_nothing() {
    for damage in [
        "UPDATE run_undo SET replaced = replace(replaced, 'Ответ 3', 'Ответ 4') WHERE document = 'id-0003'",
        "UPDATE run_undo SET replaced = 'no json' WHERE document = 'id-0003'",
        "UPDATE run_undo SET document = 'id-0004' WHERE document = 'id-0003'",
    ] {
        let (_directory, path, _) = imported().await;
        tamper(&path, damage);
        let options = SqliteOptions::file(&path);
        let store = open(&options).unwrap();
        let error = told(&store).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{damage}: {error}");
        let report = store.check().await.unwrap();
        let wrong: Vec<_> = report.checks.iter().filter(|check| !check.ok).collect();
        assert_eq!(wrong.len(), 1, "{damage}: {wrong:?}");
        assert_eq!(wrong[0].name, names::CONTENT_HASHES);
        // Nothing else is in anybody's way: what can no longer be restored is no longer spared.
        assert_eq!(store.prune(Timestamp(i64::MAX)).await.unwrap(), 1);
        drop(store);

        repair(&options, RepairOptions::default(), Timestamp(0)).unwrap();
        let store = open(&options).unwrap();
        let found = told(&store).await.unwrap();
        let replaced: Vec<_> = found
            .iter()
            .filter(|row| row.replaced.is_some())
            .map(|row| &*row.key.document)
            .collect();
        assert_eq!(replaced, ["id-0007"], "{damage}");
        // It had been there before the import, which must not take it away now that nobody knows as what.
        let lost = found.iter().find(|row| row.key.document == "id-0003");
        assert!(lost.unwrap().changed_since, "{damage}");
        assert!(store.check().await.unwrap().is_ok(), "{damage}");
    }
}

#[tokio::test]
async fn a_repair_of_something_else_keeps_what_was_kept() {
    let (_directory, path, _) = imported().await;
    let options = SqliteOptions::file(&path);
    let before = told(&open(&options).unwrap()).await.unwrap();
    assert_eq!(before.len(), 2);
    tamper(
        &path,
        "UPDATE embedding_records SET body = 'x' WHERE document = 'id-0011'",
    );
    let report = repair(&options, RepairOptions::default(), Timestamp(0)).unwrap();
    assert!(report.written, "{report:?}");
    assert_eq!(told(&open(&options).unwrap()).await.unwrap(), before);
}

#[tokio::test]
async fn a_repair_still_knows_what_an_import_created_and_others_wrote_over() {
    let (_directory, path, one) = imported().await;
    let options = SqliteOptions::file(&path);
    let store = open(&options).unwrap();
    for (run, undo, ids) in [
        ("moving", UndoPolicy::Keep, &["new-1", "new-2"][..]),
        ("since", UndoPolicy::Forget, &["new-1"][..]),
    ] {
        let texts: Vec<_> = ids
            .iter()
            .map(|id| fixture::document(id, "Новый?", run))
            .collect();
        fixture::put(&store, &one, &texts).await;
        let mut changes = fixture::change(fixture::generation(&store, &faq()).await);
        changes.undo = undo;
        changes.run = fixture::run(run);
        changes.upserts = texts
            .iter()
            .map(|text| fixture::row(text, &[&one]))
            .collect();
        store.apply(changes).await.unwrap();
    }
    let before = told(&store).await.unwrap();
    let changed: Vec<_> = before
        .iter()
        .map(|row| {
            (
                &*row.key.document,
                row.replaced.is_some(),
                row.changed_since,
            )
        })
        .collect();
    let expected = [
        ("id-0003", true, false),
        ("id-0007", true, false),
        ("new-1", false, true),
        ("new-2", false, false),
    ];
    assert_eq!(changed, expected);
    assert!(store.check().await.unwrap().is_ok());
    drop(store);
    tamper(
        &path,
        "UPDATE embedding_records SET body = 'x' WHERE document = 'id-0011'",
    );
    let report = repair(&options, RepairOptions::default(), Timestamp(0)).unwrap();
    assert!(report.written, "{report:?}");
    let store = open(&options).unwrap();
    assert_eq!(told(&store).await.unwrap(), before);
    assert!(store.check().await.unwrap().is_ok());
}

#[tokio::test]
async fn a_damaged_row_is_not_replaced_by_one_who_keeps() {
    let (_directory, path, one) = imported().await;
    tamper(
        &path,
        "UPDATE embedding_records SET body = 'x' WHERE document = 'id-0011'",
    );
    let store = open(&SqliteOptions::file(&path)).unwrap();
    let text = fixture::document("id-0011", "Иначе?", "Да.");
    let mut changes = fixture::change(fixture::generation(&store, &faq()).await);
    changes.undo = UndoPolicy::Keep;
    changes.run = fixture::run("moving");
    changes.upserts = vec![fixture::row(&text, &[&one])];
    let error = store.apply(changes).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Corrupt);
    assert!(error.to_string().contains("\"id-0011\""), "{error}");
}
