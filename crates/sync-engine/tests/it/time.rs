//! A clock that jumps: nothing is decided by it.

use storage_core::EmbeddingStore;

use crate::world::*;

const HOUR: i64 = 3_600_000;
/// Noon of a day in November 2026.
const NOON: i64 = 1_795_262_400_000;

/// Where a clock can be found: set back, at the change of summer time, after 2038, before 1970, nowhere.
const CLOCKS: [i64; 9] = [
    NOON,
    NOON - HOUR,
    NOON + HOUR,
    (1 << 31) * 1000,
    (1 << 32) * 1000,
    NOON,
    -HOUR,
    0,
    i64::MAX / 2,
];

#[tokio::test]
async fn what_changed_is_told_by_the_rows_and_never_by_the_clock() {
    let world = World::new();
    let mut rows = with_ids(ten());
    world.set_clock(CLOCKS[0]);
    assert_eq!(
        counts(&world.sync(snapshot("faq.csv", rows.clone())).await),
        [10, 0, 0, 0, 0, 0]
    );
    for (step, now) in CLOCKS.into_iter().enumerate() {
        world.set_clock(now);
        let (sent, generation) = (
            world.embedder.texts().len(),
            world.store.status().await.unwrap().generation,
        );
        // The same rows, whatever the time: nothing to do, nothing to write.
        let report = world.sync(snapshot("faq.csv", rows.clone())).await;
        assert_eq!(counts(&report), [0, 0, 0, 0, 0, 10], "at {now}");
        assert!(!report.applied, "at {now}");
        let status = world.store.status().await.unwrap();
        assert_eq!(status.generation, generation, "at {now}");
        assert!(world.sent(sent).is_empty(), "at {now}");

        // An edit is seen, though the clock may say that it was made before what is stored.
        rows[step].answer = format!("another answer at step {step}");
        let report = world.sync(snapshot("faq.csv", rows.clone())).await;
        assert_eq!(counts(&report), [0, 1, 0, 0, 0, 9], "at {now}");
        // After a day the provider is looked at first, with texts that it knows.
        let new: Vec<_> = world
            .sent(sent)
            .into_iter()
            .filter(|text| text.contains(&rows[step].answer))
            .collect();
        assert_eq!(new.len(), 1, "at {now}");
        let answers: Vec<_> = world.rows().await;
        let stored = answers
            .iter()
            .filter(|row| row.document.body == rows[step].answer);
        assert_eq!(stored.count(), 1, "at {now}");
    }
}

#[tokio::test]
async fn the_last_run_is_the_last_one_though_the_clock_was_set_back() {
    let world = World::new();
    let mut rows = with_ids(ten());
    for (step, now) in CLOCKS.into_iter().enumerate() {
        world.set_clock(now);
        rows[step].answer = format!("another answer at step {step}");
        world.sync(snapshot("faq.csv", rows.clone())).await;
        let runs = world.store.runs(&faq(), usize::MAX).await.unwrap();
        assert_eq!(runs.len(), step + 1);
        assert_eq!(
            runs[0].id.as_str(),
            format!("run-{}", world.run.get()),
            "at {now}"
        );
        assert!(runs[0].finished_at >= Some(runs[0].started_at));
    }
}
