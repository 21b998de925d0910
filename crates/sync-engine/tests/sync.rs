//! Syncs over the reference store: what is sent, what is applied, what is refused.
#![allow(
    clippy::unwrap_used,
    reason = "a test says by panicking what went wrong"
)]

use std::collections::BTreeSet;
use std::sync::Arc;

use embedder_client::testing::FakeEmbedder;
use embedder_client::{BatchLimits, EmbedErrorKind};
use faq_source::{Identity, IssueKind, RowIssue, SourceRow, SourceSnapshot};
use futures_util::TryStreamExt;
use storage_core::{
    CollectionName, EmbedText, EmbeddingRecord, EmbeddingStore, Filter, Locator, MemoryStore,
    RunId, Timestamp,
};
use sync_engine::{
    DeleteAllowance, NoProgress, Selection, SyncContext, SyncError, SyncErrorKind, SyncMode,
    SyncPolicy, SyncReport, prepare, sync,
};

struct World {
    store: Arc<MemoryStore>,
    embedder: Arc<FakeEmbedder>,
    run: std::cell::Cell<u32>,
}

impl World {
    fn new() -> Self {
        let embedder = Arc::new(FakeEmbedder::new("m", 32, false));
        Self {
            store: Arc::new(MemoryStore::new()),
            embedder,
            run: std::cell::Cell::new(0),
        }
    }

    fn context(&self) -> SyncContext<'_> {
        self.run.set(self.run.get() + 1);
        SyncContext {
            store: &*self.store,
            embedder: self.embedder.clone(),
            progress: &NoProgress,
            clock: &|| Timestamp(0),
            run: RunId::new(format!("run-{}", self.run.get())).unwrap(),
            batch: BatchLimits {
                texts: 4,
                bytes: 10_000,
            },
            concurrency: 2,
        }
    }

    async fn sync_with(
        &self,
        snapshot: SourceSnapshot,
        policy: SyncPolicy,
    ) -> Result<SyncReport, SyncError> {
        sync(&self.context(), &faq(), snapshot, policy).await
    }

    async fn sync(&self, snapshot: SourceSnapshot) -> SyncReport {
        self.sync_with(snapshot, SyncPolicy::default())
            .await
            .unwrap()
    }

    /// Texts sent since the last look.
    fn sent(&self, before: usize) -> Vec<String> {
        self.embedder.texts().split_off(before)
    }

    async fn rows(&self) -> Vec<EmbeddingRecord> {
        self.store
            .scan(&faq(), Filter::default())
            .try_collect()
            .await
            .unwrap()
    }

    async fn ids(&self) -> Vec<String> {
        self.rows()
            .await
            .into_iter()
            .map(|row| row.document.key.document)
            .collect()
    }
}

fn faq() -> CollectionName {
    CollectionName::new("faq").unwrap()
}

fn row(question: &str, answer: &str) -> SourceRow {
    SourceRow {
        question: question.into(),
        answer: answer.into(),
        category: Some("c".into()),
        ..SourceRow::default()
    }
}

fn snapshot(name: &str, rows: Vec<SourceRow>) -> SourceSnapshot {
    let rows: Vec<SourceRow> = rows
        .into_iter()
        .enumerate()
        .map(|(position, row)| SourceRow {
            locator: Locator {
                row: Some(position as u64 + 2),
                ..Locator::default()
            },
            ..row
        })
        .collect();
    let identity = if rows.iter().any(|row| row.id.is_some()) {
        Identity::Given
    } else {
        Identity::Derived
    };
    SourceSnapshot {
        kind: "csv".into(),
        location: name.into(),
        name: name.into(),
        identity,
        rows,
        ..SourceSnapshot::default()
    }
}

fn ten() -> Vec<SourceRow> {
    (0..10)
        .map(|number| row(&format!("question {number}"), &format!("answer {number}")))
        .collect()
}

fn with_ids(rows: Vec<SourceRow>) -> Vec<SourceRow> {
    rows.into_iter()
        .enumerate()
        .map(|(n, row)| SourceRow {
            id: Some(format!("id-{n}")),
            ..row
        })
        .collect()
}

fn counts(report: &SyncReport) -> [usize; 6] {
    [
        report.added,
        report.modified,
        report.relabelled,
        report.renamed,
        report.deleted,
        report.unchanged,
    ]
}

#[tokio::test]
async fn a_first_run_embeds_everything_and_a_second_nothing() {
    let world = World::new();
    let report = world.sync(snapshot("faq.csv", ten())).await;
    assert_eq!(
        (report.mode, counts(&report)),
        (SyncMode::Initial, [10, 0, 0, 0, 0, 0])
    );
    assert_eq!((report.embedded, report.requests), (10, 3));
    let again = world.sync(snapshot("faq.csv", ten())).await;
    assert_eq!(
        (again.mode, counts(&again), again.applied),
        (SyncMode::Incremental, [0, 0, 0, 0, 0, 10], false)
    );
    assert_eq!((again.embedded, again.requests), (0, 0));
    assert_eq!(again.generation, report.generation);
}

#[tokio::test]
async fn rows_without_ids_keep_theirs_through_every_single_edit() {
    type Edit = fn(&mut Vec<SourceRow>);
    let edits: [(&str, Edit, [usize; 6]); 6] = [
        ("moved", |rows| rows.swap(0, 9), [0, 0, 0, 0, 0, 10]),
        (
            "answer",
            |rows| rows[3].answer = "another answer".into(),
            [0, 1, 0, 0, 0, 9],
        ),
        (
            "question",
            |rows| rows[3].question = "what else".into(),
            [0, 1, 0, 0, 0, 9],
        ),
        (
            "category",
            |rows| rows[3].category = Some("d".into()),
            [0, 0, 1, 0, 0, 9],
        ),
        (
            "inserted",
            |rows| rows.insert(0, row("new", "new")),
            [1, 0, 0, 0, 0, 10],
        ),
        ("removed", |rows| drop(rows.remove(4)), [0, 0, 0, 0, 1, 9]),
    ];
    for (name, edit, expected) in edits {
        let world = World::new();
        world.sync(snapshot("faq.csv", ten())).await;
        let before: BTreeSet<String> = world.ids().await.into_iter().collect();
        let sent = world.embedder.texts().len();
        let mut rows = ten();
        edit(&mut rows);
        let report = world.sync(snapshot("faq.csv", rows.clone())).await;
        assert_eq!(counts(&report), expected, "{name}");
        assert_eq!(world.sent(sent).len(), expected[0] + expected[1], "{name}");
        let after: BTreeSet<String> = world.ids().await.into_iter().collect();
        assert_eq!(before.difference(&after).count(), expected[4], "{name}");
        assert_eq!(after.difference(&before).count(), expected[0], "{name}");
        // Whatever moved, the citation of every row is where the row stands now.
        for stored in world.rows().await {
            let place = rows
                .iter()
                .position(|row| row.question == stored.document.title)
                .unwrap();
            assert_eq!(
                stored.document.locator.row,
                Some(place as u64 + 2),
                "{name}"
            );
        }
        let again = world.sync(snapshot("faq.csv", rows)).await;
        assert!(
            !again.applied,
            "{name}: planning after applying finds nothing"
        );
    }
}

#[tokio::test]
async fn an_id_is_minted_once_and_equal_rows_stay_apart() {
    let world = World::new();
    world
        .sync(snapshot(
            "faq.csv",
            vec![row("Как?", "a"), row("Как?", "b"), row("Как?", "b")],
        ))
        .await;
    assert_eq!(world.ids().await, ["kak", "kak-2", "kak-3"]);
    assert_eq!(world.embedder.texts().len(), 2, "equal texts are sent once");
    let again = world
        .sync(snapshot(
            "faq.csv",
            vec![row("Как?", "b"), row("Как?", "b"), row("Как?", "a")],
        ))
        .await;
    assert_eq!(counts(&again), [0, 0, 0, 0, 0, 3]);
    let rows = world.rows().await;
    assert_eq!(
        (
            rows[0].document.key.document.as_str(),
            rows[0].document.body.as_str()
        ),
        ("kak", "a")
    );
}

#[tokio::test]
async fn renamed_ids_cost_no_call_and_trip_no_guard() {
    let world = World::new();
    world.sync(snapshot("faq.csv", with_ids(ten()))).await;
    let sent = world.embedder.texts().len();
    let renamed = ten().into_iter().enumerate().map(|(n, row)| SourceRow {
        id: Some(format!("T-{n}")),
        ..row
    });
    let report = world.sync(snapshot("faq.csv", renamed.collect())).await;
    assert_eq!(counts(&report), [0, 0, 0, 10, 0, 0]);
    assert!(world.sent(sent).is_empty());
    assert!(world.ids().await.iter().all(|id| id.starts_with("T-")));
}

#[tokio::test]
async fn a_renamed_file_is_the_same_source_and_another_file_is_another() {
    let world = World::new();
    world.sync(snapshot("faq.csv", ten())).await;
    let report = world.sync(snapshot("faq (final).csv", ten())).await;
    assert_eq!(counts(&report), [0, 0, 0, 0, 0, 10]);
    let other = vec![row("something else", "entirely")];
    let report = world.sync(snapshot("other.csv", other)).await;
    assert_eq!(
        (report.mode, counts(&report)),
        (SyncMode::Initial, [1, 0, 0, 0, 0, 0])
    );
    assert_eq!(
        world.ids().await.len(),
        11,
        "the first source's rows are untouched"
    );
    let error = world.sync_with(
        snapshot(
            "third.csv",
            vec![SourceRow {
                id: Some("question-1".into()),
                ..row("x", "y")
            }],
        ),
        SyncPolicy::default(),
    );
    assert_eq!(
        error.await.unwrap_err().kind(),
        SyncErrorKind::SourceConflict
    );
}

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
    assert_eq!((prepared.reused, prepared.to_embed), (4, 6));
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
            run: std::cell::Cell::new(0),
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

#[tokio::test]
async fn a_selection_touches_nothing_else() {
    let world = World::new();
    world.sync(snapshot("faq.csv", ten())).await;
    let mut rows = ten();
    rows.truncate(9);
    rows[0].answer = "a".into();
    rows[1].answer = "b".into();
    let only = Selection {
        ids: BTreeSet::from(["question-1".to_owned()]),
        category: None,
    };
    let policy = SyncPolicy {
        selection: only,
        ..SyncPolicy::default()
    };
    let report = world
        .sync_with(snapshot("faq.csv", rows), policy.clone())
        .await
        .unwrap();
    assert_eq!((report.total, counts(&report)), (1, [0, 1, 0, 0, 0, 0]));
    assert_eq!(world.ids().await.len(), 10);
    let forced = SyncPolicy {
        force_recompute: true,
        ..policy
    };
    let error = world
        .sync_with(snapshot("faq.csv", ten()), forced)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), SyncErrorKind::Selection);
}
