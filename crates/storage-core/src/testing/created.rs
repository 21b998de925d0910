//! Undoing a run: rows that it created, whatever became of them since.

use super::Harness;
use super::fixture::{change, document, faq, filled, generation, key, row, run, source_id};
use super::undo::{content, delete, keeping, marks, undo, write};
use crate::Timestamp;

/// A row that the run created is told as changed since when another run has written over it, has taken it over for
/// another source, or has put one in its place after it was gone; and undoing leaves all of them as they are.
pub async fn a_created_row_that_others_wrote_over_is_told<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, _) = filled(&harness, 1).await;
    let new = |id: &str, answer: &str| document(id, "Новый?", answer);
    let ids = ["again", "over", "still", "taken"];
    write(store, "moving", &one, &ids.map(|id| new(id, "Да."))).await;

    write(store, "since", &one, &[new("over", "Нет.")]).await;
    let mut taken = new("taken", "Да.");
    taken.source = source_id("another");
    let mut over = keeping(store, "since").await;
    over.deletes = vec![taken.key.clone(), key("again")];
    over.upserts = vec![row(&taken, &[&one])];
    store.apply(over).await.unwrap();
    write(store, "later", &one, &[new("again", "Да.")]).await;
    let harness = harness.reopen().await;
    let store = harness.store();
    assert_eq!(
        marks(store, "moving").await,
        ["+again!", "+over!", "+still", "+taken!"]
    );
    assert_eq!(store.cache_stats().await.unwrap().unreferenced, 0);
    assert!(store.check().await.unwrap().is_ok());

    undo(store, "moving").await;
    let left = content(store).await.records;
    let left: Vec<_> = left
        .iter()
        .map(|record| (&*record.document.key.document, &*record.document.body))
        .collect();
    let expected = [
        ("again", "Да."),
        ("id-0000", "Ответ 0."),
        ("over", "Нет."),
        ("taken", "Да."),
    ];
    assert_eq!(left, expected);
    assert!(marks(store, "moving").await.is_empty());
}

/// A row that the run created and that others have deleted since needs no undoing.
pub async fn a_created_row_that_is_gone_is_not_told<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, _) = filled(&harness, 1).await;
    let before = content(store).await;
    let new = ["gone", "new"].map(|id| document(id, "Новый?", "Да."));
    write(store, "moving", &one, &new).await;
    let mut since = change(generation(store, &faq()).await);
    since.run = run("since");
    since.deletes = vec![key("gone")];
    store.apply(since).await.unwrap();
    assert_eq!(marks(store, "moving").await, ["+new"]);
    undo(store, "moving").await;
    assert_eq!(content(store).await, before);
    assert!(marks(store, "moving").await.is_empty());
}

/// Written over again and again by the run that created it, a row is still one that the run created.
pub async fn a_row_is_created_once_over_several_changes_of_a_run<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, _) = filled(&harness, 2).await;
    let before = content(store).await;
    let new = |answer: &str| document("new", "Новый?", answer);
    write(store, "moving", &one, &[new("Первый.")]).await;
    write(store, "moving", &one, &[new("Второй.")]).await;
    let more = [document("more", "Ещё?", "Да."), new("Третий.")];
    write(store, "moving", &one, &more).await;
    delete(store, "moving", &["new"]).await;
    assert_eq!(marks(store, "moving").await, ["+more"]);
    write(store, "moving", &one, &[new("Третий.")]).await;
    // A change that writes no row changes nothing about it.
    store
        .apply(keeping(store, "moving").await.clone())
        .await
        .unwrap();
    assert_eq!(marks(store, "moving").await, ["+more", "+new"]);
    undo(store, "moving").await;
    assert_eq!(content(store).await, before);
}

/// What another run wrote over a created row is not the run's own: writing over that again keeps it.
pub async fn what_others_wrote_between_two_changes_of_a_run_comes_back<H: Harness>(harness: H) {
    let store = harness.store();
    let (one, _) = filled(&harness, 1).await;
    let new = |id: &str, answer: &str| document(id, "Новый?", answer);
    let both = |answer: &str| [new("one", answer), new("two", answer)];
    write(store, "moving", &one, &both("Первый.")).await;
    write(store, "since", &one, &both("Чужой.")).await;
    let between = content(store).await;
    write(store, "moving", &one, &[new("one", "Второй.")]).await;
    delete(store, "moving", &["two"]).await;
    assert_eq!(marks(store, "moving").await, ["=one", "=two"]);
    assert_eq!(store.prune(Timestamp(i64::MAX)).await.unwrap(), 0);
    undo(store, "moving").await;
    assert_eq!(content(store).await, between);
}
