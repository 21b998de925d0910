//! What an import wrote over comes back, what it brought goes, and what others wrote since stays.

use embedder_client::{Embedder, Meter, Purpose};
use storage_core::{ChangeSet, Embedding, EmbeddingStore, Imported, RunId, UndoPolicy};
use sync_engine::{ImportOptions, RollbackReport, SyncErrorKind, rollback_import};

use super::{Legacy, item, of_width, options, record, run};
use crate::world::{World, faq, row, snapshot, with_ids};

/// A collection that the fake provider filled, and a legacy store with its vectors.
async fn of_the_same_model(world: &World) -> (ImportOptions, Embedding) {
    world
        .sync(snapshot("faq.csv", with_ids(vec![row("q", "a")])))
        .await;
    let options = ImportOptions {
        model: Some("m".to_owned()),
        ..options()
    };
    let embedder: &dyn Embedder = &*world.embedder;
    let mut answer = embedder
        .embed(&["legacy".to_owned()], Purpose::Passage, &Meter::default())
        .await
        .unwrap();
    (options, answer.vectors.remove(0))
}

fn left(report: &RollbackReport) -> Vec<&str> {
    report.left.iter().map(|key| &*key.document).collect()
}

#[tokio::test]
async fn a_row_of_another_source_stays_unless_it_may_be_written_over_and_comes_back() {
    let world = World::new();
    let (options, vector) = of_the_same_model(&world).await;
    let before = world.rows().await;
    let mut mine = record("id-0", Some("legacy"), 0.0);
    mine.embedding = vector;
    let source = of_width(
        Legacy::new("old", vec![Imported::Record(Box::new(mine))]),
        32,
    );
    let report = run(&world, &source, &options, "r1").await.unwrap();
    assert_eq!((report.conflicts, report.added, report.replaced), (1, 0, 0));
    assert!(report.faults[0].reason.contains("--force"));
    assert_eq!(world.rows().await, before);

    let force = ImportOptions {
        overwrite: true,
        ..options
    };
    let report = run(&world, &source, &force, "r2").await.unwrap();
    assert_eq!((report.conflicts, report.replaced), (1, 1));
    assert_eq!(world.rows().await[0].document.body, "legacy");

    let undone = rollback_import(
        &*world.store,
        &report.run,
        RunId::new("undo").unwrap(),
        &*world.clock,
        false,
    )
    .await
    .unwrap();
    assert_eq!((undone.restored, undone.removed), (1, 0));
    assert_eq!(world.rows().await, before);
}

#[tokio::test]
async fn a_rollback_removes_what_came_and_leaves_what_others_wrote() {
    let world = World::new();
    let source = Legacy::new("old", vec![item("a", "one", 0.1), item("b", "two", 0.2)]);
    run(&world, &source, &options(), "r1").await.unwrap();
    let more = Legacy::new("old", vec![item("a", "uno", 0.1), item("c", "three", 0.3)]);
    run(&world, &more, &options(), "r2").await.unwrap();
    let by = |name: &str| RunId::new(name).unwrap();
    let (store, clock) = (&*world.store, &*world.clock);
    let looked = rollback_import(store, &by("r2"), by("u0"), clock, true)
        .await
        .unwrap();
    assert_eq!((looked.restored, looked.removed), (1, 1));
    assert_eq!(world.rows().await.len(), 3);
    // The first run's row a was written by the second since: it stays.
    let first = rollback_import(store, &by("r1"), by("u1"), clock, false)
        .await
        .unwrap();
    assert_eq!((first.removed, first.restored), (1, 0));
    assert_eq!(left(&first), ["a"]);
    assert_eq!(world.ids().await, ["a", "c"]);
    let missing = rollback_import(store, &by("nothing"), by("u2"), clock, false)
        .await
        .unwrap_err();
    assert_eq!(missing.kind(), SyncErrorKind::Selection);
    assert!(missing.to_string().contains("r2"), "{missing}");
}

#[tokio::test]
async fn a_rollback_lists_what_another_source_took_over_and_says_nothing_of_what_is_gone() {
    let world = World::new();
    let brought = ["a", "b", "c"].map(|id| item(id, id, 0.1));
    let source = Legacy::new("old", brought.to_vec());
    run(&world, &source, &options(), "r1").await.unwrap();
    let force = ImportOptions {
        overwrite: true,
        ..options()
    };
    let other = Legacy::new("another", vec![item("a", "a", 0.1)]);
    let report = run(&world, &other, &force, "r2").await.unwrap();
    assert_eq!(report.replaced, 1);
    let (base, rows) = world.store.fingerprints(&faq()).await.unwrap();
    let gone = rows.iter().find(|row| row.key.document == "c").unwrap();
    let deleted = ChangeSet {
        collection: faq(),
        base,
        source: None,
        upserts: Vec::new(),
        deletes: vec![gone.key.clone()],
        relocations: Vec::new(),
        binds: Vec::new(),
        register: None,
        complete: None,
        activate: None,
        undo: UndoPolicy::Forget,
        run: RunId::new("somebody").unwrap(),
        applied_at: (world.clock)(),
    };
    world.store.apply(deleted).await.unwrap();

    let by = |name: &str| RunId::new(name).unwrap();
    let (store, clock) = (&*world.store, &*world.clock);
    for dry_run in [true, false] {
        let undone = rollback_import(store, &by("r1"), by("u1"), clock, dry_run)
            .await
            .unwrap();
        assert_eq!((undone.removed, undone.restored), (1, 0));
        assert_eq!(left(&undone), ["a"]);
    }
    assert_eq!(world.ids().await, ["a"]);
    // The row that was taken over goes back to the source that had brought it, and that import can be undone again.
    let second = rollback_import(store, &by("r2"), by("u2"), clock, false)
        .await
        .unwrap();
    assert_eq!((second.removed, second.restored), (0, 1));
    let first = rollback_import(store, &by("r1"), by("u3"), clock, false)
        .await
        .unwrap();
    assert_eq!((first.removed, left(&first).len()), (1, 0));
    assert!(world.ids().await.is_empty());
}

#[tokio::test]
async fn an_import_that_was_undone_is_free_to_come_back_as_another_model() {
    let world = World::new();
    let source = Legacy::new("old", vec![item("a", "one", 0.1)]);
    run(&world, &source, &options(), "r1").await.unwrap();
    let by = |name: &str| RunId::new(name).unwrap();
    rollback_import(&*world.store, &by("r1"), by("u1"), &*world.clock, false)
        .await
        .unwrap();
    assert_eq!(world.rows().await.len(), 0);
    let other = ImportOptions {
        model: Some("the right one".to_owned()),
        ..options()
    };
    let report = run(&world, &source, &other, "r2").await.unwrap();
    assert_eq!(report.added, 1);
    let status = world.store.status().await.unwrap();
    assert_eq!(status.active(&faq()).unwrap().model.name, "the right one");
}

#[tokio::test]
async fn a_sync_fills_a_collection_that_an_undone_import_left_empty() {
    let world = World::new();
    let source = Legacy::new("old", vec![item("a", "one", 0.1)]);
    run(&world, &source, &options(), "r1").await.unwrap();
    let by = |name: &str| RunId::new(name).unwrap();
    rollback_import(&*world.store, &by("r1"), by("u1"), &*world.clock, false)
        .await
        .unwrap();
    world
        .sync(snapshot("faq.csv", with_ids(vec![row("q", "a")])))
        .await;
    let status = world.store.status().await.unwrap();
    assert_eq!(status.active(&faq()).unwrap().model.name, "m");
    assert_eq!(world.rows().await.len(), 1);
}
