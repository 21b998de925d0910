//! Documents that come one by one, all of one source.

use faq_source::{IssueKind, RowIssue, SourceRow, SourceSnapshot};
use storage_core::Locator;
use sync_engine::{
    DeleteAllowance, Selection, SyncErrorKind, SyncPolicy, SyncReport, UPLOAD, remove_document,
};

use crate::world::*;

fn document(id: &str, texts: &[&str]) -> SourceSnapshot {
    let rows = texts.iter().enumerate().map(|(chunk, text)| SourceRow {
        id: Some(id.to_owned()),
        chunk: u32::try_from(chunk).unwrap(),
        answer: (*text).to_owned(),
        ..SourceRow::default()
    });
    SourceSnapshot {
        kind: UPLOAD.to_owned(),
        ..snapshot("uploads", rows.collect())
    }
}

fn only(id: &str) -> SyncPolicy {
    SyncPolicy {
        deletes: DeleteAllowance::Percent(100.0),
        selection: Selection {
            ids: [id.to_owned()].into(),
            whole: true,
            ..Selection::default()
        },
        ..SyncPolicy::default()
    }
}

async fn send(world: &World, id: &str, texts: &[&str]) -> SyncReport {
    world
        .sync_with(document(id, texts), only(id))
        .await
        .unwrap()
}

/// What a directory of documents says: each by its name, in chunks.
fn directory(documents: &[(&str, &[&str])]) -> SourceSnapshot {
    let rows = documents
        .iter()
        .flat_map(|(id, texts)| document(id, texts).rows);
    SourceSnapshot {
        kind: "documents".to_owned(),
        ..snapshot("docs", rows.collect())
    }
}

async fn texts(world: &World) -> Vec<String> {
    let rows = world.rows().await.into_iter();
    rows.map(|row| {
        let key = row.document.key;
        format!("{}:{} {}", key.document, key.chunk, row.document.body)
    })
    .collect()
}

#[tokio::test]
async fn a_document_is_replaced_and_the_others_stay() {
    let world = World::new();
    send(&world, "a", &["one", "two", "three"]).await;
    send(&world, "b", &["four", "five"]).await;
    let before = world.embedder.texts().len();
    let report = send(&world, "a", &["zero", "one"]).await;
    assert_eq!(world.sent(before), ["zero"], "only what is new is paid for");
    assert_eq!((report.deleted, report.total), (1, 2));
    assert_eq!(
        texts(&world).await,
        ["a:0 zero", "a:1 one", "b:0 four", "b:1 five"]
    );
    let again = send(&world, "a", &["zero", "one"]).await;
    assert_eq!((again.unchanged, again.applied), (2, false));
}

#[tokio::test]
async fn a_text_that_another_document_holds_too_is_not_taken_out_of_it() {
    let world = World::new();
    send(&world, "a", &["same", "other"]).await;
    let report = send(&world, "b", &["same"]).await;
    assert_eq!((report.added, report.renamed, report.embedded), (1, 0, 0));
    assert_eq!(texts(&world).await, ["a:0 same", "a:1 other", "b:0 same"]);
}

#[tokio::test]
async fn what_is_sent_continues_no_file_and_no_file_continues_it() {
    let world = World::new();
    let file = snapshot("uploads", with_ids(ten()));
    world.sync(file.clone()).await;
    let copy = SourceSnapshot {
        kind: UPLOAD.to_owned(),
        rows: file
            .rows
            .iter()
            .map(|row| SourceRow {
                id: Some("copy".to_owned()),
                chunk: u32::try_from(row.locator.row.unwrap()).unwrap(),
                ..row.clone()
            })
            .collect(),
        ..file.clone()
    };
    let report = world.sync_with(copy, only("copy")).await.unwrap();
    assert_eq!((report.added, report.embedded), (10, 0));
    let sources = |rows: Vec<storage_core::EmbeddingRecord>| {
        let names = rows.into_iter().map(|row| row.document.source.to_string());
        names.collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(
        sources(world.rows().await),
        ["file:uploads", "upload:uploads"]
            .map(ToOwned::to_owned)
            .into()
    );
    // The same rows under another name are the file still, not the uploads.
    let renamed = snapshot("renamed.csv", with_ids(ten()));
    let report = world.sync(renamed).await;
    assert_eq!((report.unchanged, report.deleted), (10, 0));
}

#[tokio::test]
async fn a_document_of_another_source_is_not_replaced() {
    let world = World::new();
    world.sync(snapshot("faq.csv", with_ids(ten()))).await;
    let mut sent = document("id-3", &["one"]);
    // Not even where the rows themselves do not meet.
    sent.rows[0].chunk = 7;
    let error = world.sync_with(sent, only("id-3")).await.unwrap_err();
    assert_eq!(error.kind(), SyncErrorKind::SourceConflict);
    assert!(error.to_string().contains("file:faq.csv"), "{error}");
    assert_eq!(world.rows().await.len(), 10);
}

#[tokio::test]
async fn a_document_that_an_import_brought_is_taken_over_whole() {
    let world = World::new();
    let imported = SourceSnapshot {
        kind: "faiss".to_owned(),
        ..document("7", &["one", "two", "three"])
    };
    world.sync(imported).await;
    let before = world.embedder.texts().len();
    let mut sent = document("7", &["one", "two"]);
    sent.rows.remove(0);
    let report = world.sync_with(sent, only("7")).await.unwrap();
    assert_eq!(world.sent(before).len(), 0);
    assert_eq!(report.deleted, 2);
    assert_eq!(texts(&world).await, ["7:1 two"]);
    assert_eq!(
        world.rows().await[0].document.source.as_str(),
        "upload:uploads"
    );
}

#[tokio::test]
async fn what_could_not_be_read_of_a_document_is_not_taken_for_gone() {
    let world = World::new();
    send(&world, "a", &["one", "two", "three"]).await;
    let mut damaged = document("a", &["one"]);
    damaged.issues.push(RowIssue {
        kind: IssueKind::Malformed,
        id: Some("a".to_owned()),
        locator: Locator::default(),
        column: None,
        problem: "page 2 of a cannot be read".to_owned(),
    });
    let report = world.sync_with(damaged, only("a")).await.unwrap();
    assert_eq!((report.deleted, report.withheld), (0, 2));
    assert_eq!(texts(&world).await.len(), 3);
}

#[tokio::test]
async fn a_page_that_failed_does_not_move_the_chunks_behind_it_over_stored_ones() {
    let world = World::new();
    let page = |texts: &[&str]| {
        let mut sent = document("a", texts);
        sent.issues.push(RowIssue {
            kind: IssueKind::Malformed,
            id: Some("a".to_owned()),
            locator: Locator {
                page: Some(2),
                ..Locator::default()
            },
            column: None,
            problem: "page 2 of a cannot be read".to_owned(),
        });
        sent
    };
    let first = world.sync_with(page(&["one", "three"]), only("a")).await;
    assert_eq!(
        first.unwrap().added,
        2,
        "the first time there is nothing to spoil"
    );
    let whole = ["a:0 one", "a:1 two", "a:2 three"];
    send(&world, "a", &["one", "two", "three"]).await;
    let before = world.embedder.texts().len();
    let report = world
        .sync_with(page(&["one", "three"]), only("a"))
        .await
        .unwrap();
    assert_eq!((report.deleted, report.withheld), (0, 3));
    assert_eq!(world.sent(before).len(), 0);
    assert_eq!(texts(&world).await, whole);
    // Nor does another document of the same words take them out of it.
    let mut both = page(&["one", "three"]);
    both.rows.extend(document("b", &["two"]).rows);
    world.sync_with(both, SyncPolicy::default()).await.unwrap();
    assert_eq!(
        texts(&world).await,
        [&whole[..], &["b:0 two"]].concat(),
        "a stays whole"
    );
    send(&world, "a", &["one", "zwei", "three"]).await;
    assert_eq!(
        texts(&world).await[1],
        "a:1 zwei",
        "read whole, it is replaced"
    );
}

#[tokio::test]
async fn chunks_of_a_document_that_is_still_there_are_not_missed_by_the_delete_guard() {
    let world = World::new();
    let guarded = SyncPolicy::default;
    let fine: [(&str, &[&str]); 2] = [
        ("a.md", &["one", "two", "three", "four"]),
        ("b.md", &["five", "six"]),
    ];
    let first = world.sync_with(directory(&fine), guarded()).await.unwrap();
    assert_eq!(first.added, 6);
    // The same documents in larger pieces: four of six rows go, and no document.
    let coarse: [(&str, &[&str]); 2] = [("a.md", &["one two three four"]), ("b.md", &["five six"])];
    let report = world
        .sync_with(directory(&coarse), guarded())
        .await
        .unwrap();
    assert_eq!(report.deleted, 4);
    assert_eq!(
        texts(&world).await,
        ["a.md:0 one two three four", "b.md:0 five six"]
    );
    // A document that is gone is missed, with what it says.
    let error = world
        .sync_with(directory(&coarse[..1]), guarded())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), SyncErrorKind::DeleteGuard);
    assert!(error.to_string().starts_with("1 of 2 rows"), "{error}");
    assert!(error.to_string().contains("(b.md)"), "{error}");
    assert_eq!(texts(&world).await.len(), 2);
}

#[tokio::test]
async fn a_document_that_cannot_be_read_loses_no_row_to_an_equal_one() {
    let world = World::new();
    let texts_of: &[&str] = &["one", "two"];
    let manual = directory(&[("manual.pdf", texts_of), ("other.pdf", &["three"])]);
    world.sync(manual).await;
    let unread = |id: Option<&str>| RowIssue {
        kind: IssueKind::Malformed,
        id: id.map(ToOwned::to_owned),
        locator: Locator::default(),
        column: None,
        problem: "it cannot be read".to_owned(),
    };
    let all = [
        "manual-2.pdf:0 one",
        "manual-2.pdf:1 two",
        "manual.pdf:0 one",
        "manual.pdf:1 two",
        "other.pdf:0 three",
    ];
    let mut copied = directory(&[("manual-2.pdf", texts_of), ("other.pdf", &["three"])]);
    copied.issues.push(unread(Some("manual.pdf")));
    let report = world.sync(copied.clone()).await;
    assert_eq!((report.added, report.renamed, report.withheld), (2, 0, 2));
    assert_eq!(report.embedded, 0, "equal texts are paid for once");
    assert_eq!(texts(&world).await, all);
    // Nor where nobody can say which one it is.
    let world = World::new();
    world
        .sync(directory(&[
            ("manual.pdf", texts_of),
            ("other.pdf", &["three"]),
        ]))
        .await;
    copied.issues = vec![unread(None)];
    let report = world.sync(copied).await;
    assert_eq!((report.added, report.renamed, report.withheld), (2, 0, 2));
    assert_eq!(texts(&world).await, all);
}

#[tokio::test]
async fn a_document_is_removed_and_nothing_else_and_comes_back_without_a_call() {
    let world = World::new();
    send(&world, "a", &["one", "two"]).await;
    send(&world, "b", &["one"]).await;
    let removed = world.remove("a").await.unwrap();
    assert_eq!(
        (removed.rows, removed.owner.as_str()),
        (2, "upload:uploads")
    );
    assert_eq!(texts(&world).await, ["b:0 one"]);
    assert_eq!(world.remove("a").await, None);
    let before = world.embedder.texts().len();
    send(&world, "a", &["one", "two"]).await;
    assert_eq!(world.sent(before).len(), 0);
}

impl World {
    async fn remove(&self, id: &str) -> Option<sync_engine::Removed> {
        let context = self.context();
        remove_document(context.store, context.clock, &context.run, &faq(), id)
            .await
            .unwrap()
    }
}
