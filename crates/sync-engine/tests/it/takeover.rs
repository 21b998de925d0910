//! Rows that an import brought, and the source that feeds them from then on.

use storage_core::{
    Binding, ChangeSet, ContentHash, Embedding, EmbeddingStore, Fingerprint, MetadataValue, RunId,
    Spend, StoredVector, Timestamp, UndoPolicy, VectorKey,
};
use sync_engine::{Selection, SyncErrorKind, SyncPolicy};

use crate::world::{World, counts, faq, row, snapshot, ten, with_ids};
use faq_source::{SourceRow, SourceSnapshot};

fn of_kind(kind: &str, name: &str, rows: Vec<SourceRow>) -> SourceSnapshot {
    SourceSnapshot {
        kind: kind.to_owned(),
        ..snapshot(name, rows)
    }
}

fn chroma() -> SourceSnapshot {
    of_kind("chroma", "chroma", with_ids(ten()))
}

/// The same ids and texts with a price each, but for one text; one row is gone, and one is new.
fn products() -> SourceSnapshot {
    let mut rows = with_ids(ten());
    for row in &mut rows {
        row.metadata = [("price", MetadataValue::F64(9.5))].into_iter().collect();
    }
    rows[8].answer = "another answer".into();
    rows.pop();
    rows.push(SourceRow {
        id: Some("id-10".into()),
        ..row("question 10", "answer 10")
    });
    of_kind("postgres", "products", rows)
}

async fn fingerprint(world: &World, id: &str) -> Fingerprint {
    let (_, rows) = world.store.fingerprints(&faq()).await.unwrap();
    rows.into_iter()
        .find(|row| row.key.document == id && row.key.chunk == 0)
        .unwrap()
}

#[tokio::test]
async fn a_source_takes_over_what_an_import_brought_and_pays_for_what_changed() {
    let world = World::new();
    world.sync(chroma()).await;
    let before = world.embedder.texts().len();
    let kept = fingerprint(&world, "id-3").await;

    let report = world.sync(products()).await;
    assert_eq!(counts(&report), [1, 1, 8, 0, 0, 0]);
    let mut sent = world.sent(before);
    sent.sort();
    assert_eq!(
        sent,
        ["question 10\nanswer 10", "question 8\nanother answer"]
    );
    let now = fingerprint(&world, "id-3").await;
    assert_eq!(now.vector, kept.vector);
    assert_eq!(now.source.as_str(), "table:products");
    // What the source does not speak of stays where it came from.
    assert_eq!(
        fingerprint(&world, "id-9").await.source,
        kept.source,
        "an imported row was dropped by a source that never had it"
    );

    let again = world.sync(products()).await;
    assert_eq!(counts(&again), [0, 0, 0, 0, 0, 10]);
    assert!(!again.applied);
}

#[tokio::test]
async fn an_unchanged_text_keeps_the_very_vector_that_was_imported() {
    let world = World::new();
    world.sync(chroma()).await;
    // The import's own vector of a text that the model would give another one.
    let stored = fingerprint(&world, "id-1").await;
    let key = stored.vector.clone().unwrap();
    let imported = VectorKey {
        variant: Some(ContentHash::of(b"imported")),
        ..key
    };
    let vector = StoredVector {
        key: imported.clone(),
        embedding: Embedding::new((0..32u8).map(|n| f32::from(n) + 1.0).collect::<Vec<f32>>())
            .unwrap(),
    };
    let now = Timestamp(0);
    let spend = Spend::nothing(RunId::new("import").unwrap());
    world
        .store
        .put_embeddings(&[vector], &spend, now)
        .await
        .unwrap();
    let status = world.store.status().await.unwrap();
    let version = status.collection(&faq()).unwrap().active.clone().unwrap();
    let binding = Binding {
        version,
        vector: imported.clone(),
    };
    let bind = ChangeSet {
        collection: faq(),
        base: status.collection(&faq()).unwrap().generation,
        source: None,
        upserts: Vec::new(),
        deletes: Vec::new(),
        relocations: Vec::new(),
        binds: vec![(stored.key.clone(), binding)],
        register: None,
        complete: None,
        activate: None,
        undo: UndoPolicy::Forget,
        run: RunId::new("import").unwrap(),
        applied_at: now,
    };
    world.store.apply(bind).await.unwrap();

    world.sync(products()).await;
    let taken = fingerprint(&world, "id-1").await;
    assert_eq!(taken.vector, Some(imported));
    assert_eq!(taken.source.as_str(), "table:products");
}

#[tokio::test]
async fn a_document_changes_hands_with_all_its_chunks() {
    let world = World::new();
    let mut rows = with_ids(ten());
    rows.push(SourceRow {
        chunk: 1,
        ..rows[2].clone()
    });
    world.sync(of_kind("vectors", "items", rows)).await;
    let only = Selection {
        ids: ["id-2".to_owned()].into(),
        ..Selection::default()
    };
    let policy = SyncPolicy {
        selection: only,
        ..SyncPolicy::default()
    };
    let report = world.sync_with(products(), policy).await.unwrap();
    assert_eq!(counts(&report), [0, 0, 1, 0, 1, 0]);
    assert_eq!(world.ids().await.len(), 10);
}

#[tokio::test]
async fn rows_of_another_real_source_are_nobody_elses() {
    let world = World::new();
    world
        .sync(of_kind("csv", "faq.csv", with_ids(ten()[..5].to_vec())))
        .await;
    let mut rows = with_ids(ten());
    for row in &mut rows {
        row.answer.push_str(", now in the shop");
    }
    let error = world
        .sync_with(of_kind("postgres", "products", rows), SyncPolicy::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), SyncErrorKind::SourceConflict);
}

#[tokio::test]
async fn what_is_missing_and_what_is_stale_can_be_brought_alone() {
    let world = World::new();
    world
        .sync(of_kind("postgres", "products", with_ids(ten())))
        .await;
    let with = |missing, stale| SyncPolicy {
        selection: Selection {
            missing,
            stale,
            ..Selection::default()
        },
        ..SyncPolicy::default()
    };
    // One row new, one changed, one gone, the others relabelled.
    let missing = world
        .sync_with(products(), with(true, false))
        .await
        .unwrap();
    assert_eq!(counts(&missing), [1, 0, 0, 0, 0, 0]);
    assert_eq!(missing.embedded, 1);
    assert_eq!(
        world.ids().await.len(),
        11,
        "a row that was not asked for went"
    );
    let stale = world
        .sync_with(products(), with(false, true))
        .await
        .unwrap();
    assert_eq!(counts(&stale), [0, 1, 8, 0, 0, 0]);
    let both = world.sync_with(products(), with(true, true)).await.unwrap();
    assert_eq!(counts(&both), [0, 0, 0, 0, 0, 0]);
    let refused = SyncPolicy {
        force_recompute: true,
        ..with(true, false)
    };
    let refused = world.sync_with(products(), refused).await.unwrap_err();
    assert_eq!(refused.kind(), SyncErrorKind::Selection);
    // All of it: the row that is gone goes.
    let all = world.sync(products()).await;
    assert_eq!(counts(&all), [0, 0, 0, 0, 1, 10]);
}
