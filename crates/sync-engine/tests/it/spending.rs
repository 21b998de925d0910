//! What is paid for, what is refused, what stays.

use std::sync::Arc;

use embedder_client::EmbedErrorKind;
use embedder_client::testing::FakeEmbedder;
use faq_source::{IssueKind, RowIssue};
use storage_core::{EmbedText, EmbeddingStore, Locator};
use sync_engine::{DeleteAllowance, SyncErrorKind, SyncMode, SyncPolicy, prepare};

use crate::world::*;

#[tokio::test]
async fn the_guard_keeps_what_a_broken_export_would_delete() {
    let world = World::new();
    world.sync(snapshot("faq.csv", ten())).await;
    let generation = world.store.status().await.unwrap().generation;
    for rows in [ten().split_off(3), vec![]] {
        let error = world
            .sync_with(snapshot("faq.csv", rows), SyncPolicy::default())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), SyncErrorKind::DeleteGuard);
        assert!(error.to_string().contains("--allow-delete"), "{error}");
    }
    assert_eq!(world.store.status().await.unwrap().generation, generation);
    let policy = SyncPolicy {
        deletes: DeleteAllowance::Count(3),
        ..SyncPolicy::default()
    };
    let report = world
        .sync_with(snapshot("faq.csv", ten().split_off(3)), policy)
        .await
        .unwrap();
    assert_eq!(report.deleted, 3);
}

#[tokio::test]
async fn nothing_is_deleted_because_a_row_could_not_be_read() {
    for given in [false, true] {
        let world = World::new();
        let rows = if given { with_ids(ten()) } else { ten() };
        world.sync(snapshot("faq.csv", rows.clone())).await;
        let mut broken = snapshot("faq.csv", rows);
        broken.rows.remove(9);
        broken.issues.push(RowIssue {
            kind: IssueKind::ErrorCell,
            id: given.then(|| "id-9".to_owned()),
            locator: Locator::default(),
            column: Some("C".into()),
            problem: "the cell holds the error #N/A".into(),
        });
        let report = world.sync(broken).await;
        assert_eq!(
            (report.deleted, report.withheld, report.failed.len()),
            (0, 1, 1)
        );
        assert_eq!(world.ids().await.len(), 10);
    }
}

#[tokio::test]
async fn an_interrupted_run_pays_for_nothing_twice() {
    let world = World::new();
    world.embedder.fail_after(1, EmbedErrorKind::Unavailable);
    let error = world
        .sync_with(snapshot("faq.csv", ten()), SyncPolicy::default())
        .await
        .unwrap_err();
    assert_eq!(
        error.kind(),
        SyncErrorKind::Embed(EmbedErrorKind::Unavailable)
    );
    assert!(error.to_string().contains("4 of 10"), "{error}");
    assert!(world.rows().await.is_empty(), "readers see nothing of it");
    world.embedder.recover();
    let prepared = prepare(
        &world.context(),
        &faq(),
        snapshot("faq.csv", ten()),
        SyncPolicy::default(),
    )
    .await
    .unwrap();
    assert_eq!((prepared.reused, prepared.estimate.texts), (4, 6));
    let report = world.sync(snapshot("faq.csv", ten())).await;
    assert_eq!((report.reused, report.embedded), (4, 6));
    let mut texts = world.embedder.texts();
    texts.sort_unstable();
    texts.dedup();
    assert_eq!((texts.len(), world.embedder.texts().len()), (10, 10));
}

#[tokio::test]
async fn a_forced_recompute_resumes_and_flips_at_once() {
    let world = World::new();
    world.sync(snapshot("faq.csv", ten())).await;
    world
        .sync(snapshot(
            "other.csv",
            vec![row("of another source", "kept")],
        ))
        .await;
    let old = world.store.status().await.unwrap();
    let forced = || SyncPolicy {
        force_recompute: true,
        ..SyncPolicy::default()
    };
    let calls = world.embedder.calls().len();
    world
        .embedder
        .fail_after(calls + 1, EmbedErrorKind::Configuration);
    world
        .sync_with(snapshot("faq.csv", ten()), forced())
        .await
        .unwrap_err();
    let between = world.store.status().await.unwrap();
    assert_eq!(
        between.active(&faq()),
        old.active(&faq()),
        "the old version serves until the new one is complete"
    );
    assert_eq!(between.generation, old.generation);
    world.embedder.recover();
    let sent = world.embedder.texts().len();
    let report = world
        .sync_with(snapshot("faq.csv", ten()), forced())
        .await
        .unwrap();
    assert_eq!(
        (report.mode, report.reused, report.embedded),
        (SyncMode::Forced, 4, 7)
    );
    assert_eq!(
        world.sent(sent).len(),
        7,
        "ten and the other source's one, less the four that were paid for"
    );
    let new = world.store.status().await.unwrap();
    assert_ne!(
        new.active(&faq()).unwrap().id,
        old.active(&faq()).unwrap().id
    );
    assert_eq!(
        new.collection(&faq()).unwrap().previous,
        old.collection(&faq()).unwrap().active
    );
    assert_eq!(world.rows().await.len(), 11);
}

#[tokio::test]
async fn another_model_dimension_or_recipe_is_refused_with_the_remedy() {
    let world = World::new();
    world.sync(snapshot("faq.csv", ten())).await;
    let bytes = world.store.status().await.unwrap();
    let mut changed = ten();
    changed[0].answer = "other".into();
    for (name, dimensions, tells) in [("n", 32, false), ("m", 16, true), ("m", 16, false)] {
        let other = World {
            store: Arc::clone(&world.store),
            embedder: Arc::new(FakeEmbedder::new(name, dimensions, tells)),
            ..World::new()
        };
        let error = other
            .sync_with(snapshot("faq.csv", changed.clone()), SyncPolicy::default())
            .await
            .unwrap_err();
        assert_eq!(
            error.kind(),
            SyncErrorKind::Model,
            "{name} {dimensions} {tells}"
        );
        assert!(error.to_string().contains("--force-recompute"), "{error}");
    }
    let recipe = SyncPolicy {
        embed_text: Some(EmbedText::parse("{question}").unwrap()),
        ..SyncPolicy::default()
    };
    let error = world
        .sync_with(snapshot("faq.csv", changed), recipe.clone())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), SyncErrorKind::Model);
    assert_eq!(world.store.status().await.unwrap(), bytes);
    let forced = SyncPolicy {
        force_recompute: true,
        ..recipe
    };
    world
        .sync_with(snapshot("faq.csv", ten()), forced)
        .await
        .unwrap();
    let sent = world.embedder.texts().len();
    let mut answers = ten();
    answers[0].answer = "not embedded any more".into();
    let report = world.sync(snapshot("faq.csv", answers)).await;
    assert_eq!(
        (counts(&report), world.sent(sent).len()),
        ([0, 0, 1, 0, 0, 9], 0),
        "the recipe stays with the collection"
    );
}

#[tokio::test]
async fn a_refused_text_leaves_its_row_as_it_was() {
    let world = World::new();
    world.sync(snapshot("faq.csv", ten())).await;
    world.embedder.refuse("poison");
    let mut rows = ten();
    rows[2].answer = "poison".into();
    rows[5].answer = "fine".into();
    let report = world.sync(snapshot("faq.csv", rows)).await;
    assert_eq!((report.modified, report.failed.len()), (1, 1));
    assert_eq!(report.failed[0].id.as_deref(), Some("question-2"));
    let stored = world.rows().await;
    assert_eq!(stored[2].document.body, "answer 2");
    assert_eq!(stored[5].document.body, "fine");
}
