//! Which stored row an incoming one is.

use std::collections::BTreeSet;

use faq_source::SourceRow;
use sync_engine::{Selection, SyncErrorKind, SyncMode, SyncPolicy};

use crate::world::*;

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
        ..Selection::default()
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
