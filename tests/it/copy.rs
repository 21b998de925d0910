//! `copy`: a whole store elsewhere, with everything that was paid for, and without paying for anything.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::process::Stdio;

use futures_util::StreamExt;
use integration_tests::{Faq, Place, rows, scalar};
use proptest::prelude::*;
use rusqlite::Connection;
use storage_core::testing::fixture::run;
use storage_core::testing::life::{Step, live};
use storage_core::testing::snapshot;
use storage_core::{EmbeddingStore, Filter, Generation, MemoryStore, Timestamp};
use storage_sqlite::SqliteOptions;
use sync_engine::{CopyOptions, Depth, DiffOptions, QuietCopy};

use crate::support::{api, counts};

const FROM: &str = "sqlite:data/embeddings.db";

/// A store with 40 templates.
fn filled() -> Place {
    let place = Place::hash();
    place.save("faq.csv", &Faq::with_ids(40));
    place.migrate("faq.csv", &[]);
    place
}

#[test]
fn a_copy_carries_everything_that_was_paid_for_and_pays_nothing() {
    let api = api();
    let place = Place::stub(&api);
    let faq = Faq::with_ids(20);
    place.save("faq.csv", &faq);
    place.migrate("faq.csv", &[]);
    place.json(&["model", "build", "other-model"]);
    place.json(&["model", "promote", "other-model"]);
    // What rows referred to before is referred to by nobody now, and stays paid for.
    place.save(
        "faq.csv",
        &faq.edited(|entries| {
            for entry in &mut entries[..5] {
                entry.question.push_str(" Срочно.");
            }
        }),
    );
    place.json(&["sync", "--faq-path", "faq.csv"]);
    place.migrate("faq.csv", &["--collection", "docs"]);
    let (billed, before) = (api.requests(), place.files());

    let report = place.json(&["copy", FROM, "sqlite:new/copy.db"]);
    assert_eq!(api.requests(), billed, "nothing was asked of the provider");
    counts(&report, &[("requests", 0), ("rounds", 1)]);
    let copied = &report["copied"];
    counts(
        copied,
        &[
            ("collections", 2),
            ("rows", 40),
            ("spaces", 2),
            ("versions", 3),
        ],
    );
    let copy = place.path("new/copy.db");
    let stored = |query: &str| (scalar(&place.store(), query), scalar(&copy, query));
    let (vectors, there) = stored("SELECT count(*) FROM embedding_vectors");
    assert_eq!(vectors, there);
    assert_eq!(copied["vectors"], vectors);
    let (runs, there) = stored("SELECT count(*) FROM runs WHERE kind IS NOT NULL");
    assert_eq!(runs, there);
    assert_eq!(copied["runs"], runs);
    let (canaries, there) = stored("SELECT count(*) FROM canaries");
    assert!(canaries > 0, "the provider was remembered");
    assert_eq!(canaries, there);
    assert_eq!(report["verified"], true);
    for name in ["faq", "docs"] {
        assert_eq!(rows(&place.store(), name), rows(&copy, name), "{name}");
    }
    // An age is counted from the moment it is asked for, which may be the next second already.
    let kept = |store: &str| {
        let mut kept = place.json(&["cache", "stats", "--store", store]);
        kept["oldest_seconds"].take();
        kept
    };
    assert_eq!(kept(FROM), kept("sqlite:new/copy.db"));
    let now = place.files();
    for (path, bytes) in &before {
        assert!(now[path] == *bytes, "{} changed", path.display());
    }
    let every = place.json(&["diff", FROM, "sqlite:new/copy.db", "--all-versions"]);
    assert_eq!(every["equal"], true);

    // It is a store like any other: checked, synced for nothing, rolled back.
    let store = ["--store", "sqlite:new/copy.db"];
    place.run(&[&["validate"][..], &store].concat()).ok();
    let again = place.json(&[&["sync", "--faq-path", "faq.csv"][..], &store].concat());
    counts(&again, &[("unchanged", 20), ("requests", 0)]);
    assert_eq!(again["model"]["name"], "other-model");
    // Five rows have lost their vector of the version before: the rollback asks for these alone.
    let back = place.json(&[&["model", "rollback"][..], &store].concat());
    assert_eq!(back["model"]["name"], "stub-model", "{back:#}");
    assert!(
        api.requests() <= billed + 1,
        "twenty texts were not sent again"
    );
}

#[test]
fn a_copy_again_finds_everything_there_and_writes_nothing() {
    let place = filled();
    place.json(&["copy", FROM, "sqlite:copy.db"]);
    let first = std::fs::read(place.path("copy.db")).unwrap();
    let again = place.json(&["copy", FROM, "sqlite:copy.db"]);
    counts(
        &again["copied"],
        &[("vectors", 0), ("vectors_there", 40), ("rows", 40)],
    );
    assert!(std::fs::read(place.path("copy.db")).unwrap() == first);
    let run = place
        .run(&["copy", FROM, "sqlite:copy.db", "--no-verify"])
        .ok();
    run.prints(&[
        "40 rows in 1 collection",
        "0 vectors and 40 that were there",
    ])
    .prints(&["Not compared with the source"]);
}

#[test]
fn a_copy_that_is_killed_goes_on_where_it_stopped() {
    let place = Place::hash();
    place.save("faq.csv", &Faq::with_ids(3_000));
    place.migrate("faq.csv", &["--no-verify"]);
    let mut child = place
        .command(&["copy", FROM, "sqlite:copy.db", "--no-verify"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut told = lines.map(Result::unwrap);
    // The first tenth is durable when it is told.
    assert!(told.any(|line| line.contains("Copying vectors")));
    child.kill().unwrap();
    child.wait().unwrap();

    let copy = place.path("copy.db");
    let connection = Connection::open(&copy).unwrap();
    let count = |what: &str| -> i64 {
        let query = format!("SELECT count(*) FROM {what}");
        connection.query_row(&query, (), |row| row.get(0)).unwrap()
    };
    let (stored, visible) = (count("embedding_vectors"), count("embedding_records"));
    drop(connection);
    assert!(stored >= 300, "{stored}");
    assert!(
        [0, 3_000].contains(&visible),
        "rows come all at once: {visible}"
    );

    let report = place.json(&["copy", FROM, "sqlite:copy.db"]);
    let copied = &report["copied"];
    assert_eq!(
        copied["vectors_there"], stored,
        "nothing was transferred twice"
    );
    assert_eq!(copied["vectors"], 3_000 - stored);
    assert_eq!(report["verified"], true);
    assert_eq!(rows(&copy, "faq"), rows(&place.store(), "faq"));
}

#[test]
fn a_damaged_source_is_not_copied() {
    let place = filled();
    let connection = Connection::open(place.store()).unwrap();
    connection
        .execute(
            "UPDATE embedding_vectors SET embedding = zeroblob(4 * dimensions) WHERE vector_id = 7",
            (),
        )
        .unwrap();
    drop(connection);
    let run = place.run(&["copy", FROM, "sqlite:copy.db"]).expect(1);
    run.prints_nothing()
        .says(&["the store to copy from has faults", "smart-support repair"]);
    // Unasked for a check, it is noticed on the way.
    let run = place
        .run(&["copy", FROM, "sqlite:other.db", "--no-verify"])
        .expect(1);
    run.prints_nothing().says(&["smart-support repair"]);
    for copy in ["copy.db", "other.db"] {
        let visible = scalar(&place.path(copy), "SELECT count(*) FROM embedding_records");
        assert_eq!(visible, 0, "{copy}");
    }
}

#[test]
fn a_text_changed_behind_our_back_is_not_copied() {
    let place = filled();
    let connection = Connection::open(place.store()).unwrap();
    connection
        .execute(
            "UPDATE embedding_records SET body = 'x' WHERE record_id = 7",
            (),
        )
        .unwrap();
    drop(connection);
    let run = place
        .run(&["copy", FROM, "sqlite:copy.db", "--no-verify"])
        .expect(1);
    run.prints_nothing()
        .says(&["do not match their hashes", "smart-support repair"]);
}

#[test]
fn a_store_is_not_copied_into_itself() {
    let place = filled();
    symlink(place.store(), place.path("symbolic.db")).unwrap();
    std::fs::hard_link(place.store(), place.path("linked.db")).unwrap();
    let before = place.files();
    for target in [
        "data/embeddings.db",
        "./data/../data/embeddings.db",
        "symbolic.db",
        "linked.db",
    ] {
        let target = format!("sqlite:{target}");
        let run = place.run(&["copy", FROM, &target]).expect(6);
        run.prints_nothing().says(&["the same store"]);
    }
    assert!(place.files() == before);
}

#[test]
fn a_target_with_other_rows_is_refused_and_left_as_it_is() {
    let place = filled();
    place.save("other.csv", &Faq::with_ids(12));
    let other = ["--store", "sqlite:other.db"];
    place.migrate("other.csv", &other);
    let before = place.files();
    for flags in [&[][..], &["--dry-run"], &["--collection", "faq"]] {
        let run = place
            .run(&[&["copy", FROM, "sqlite:other.db"], flags].concat())
            .expect(6);
        run.prints_nothing().says(&[
            "has a collection faq already",
            "12 rows there, 40 here",
            "smart-support diff sqlite:data/embeddings.db sqlite:other.db",
        ]);
    }
    assert!(place.files() == before);
    // Beside it there is room.
    place.migrate("faq.csv", &["--collection", "docs"]);
    let beside = place.json(&["copy", FROM, "sqlite:other.db", "--collection", "docs"]);
    counts(&beside["copied"], &[("collections", 1), ("rows", 40)]);
    let found = |name: &str| rows(&place.path("other.db"), name).len();
    assert_eq!((found("faq"), found("docs")), (12, 40));
}

#[test]
fn a_dry_run_counts_and_writes_nothing() {
    let place = filled();
    let before = place.files();
    let plan = place.json(&["copy", FROM, "sqlite:new/copy.db", "--dry-run"]);
    assert_eq!(plan["dry_run"], true);
    counts(
        &plan["copied"],
        &[("rows", 40), ("vectors", 40), ("versions", 1)],
    );
    assert!(plan["bytes"].as_u64().unwrap() > 0);
    let run = place.run(&["copy", FROM, "sqlite:new/copy.db", "-n"]).ok();
    run.prints(&["Would copy", "nothing was written"]);
    assert!(place.files() == before);
    assert!(!place.path("new").exists());
}

#[test]
fn stores_that_cannot_be_meant_are_refused() {
    let place = filled();
    for (args, says) in [
        (["sqlite::memory:", "sqlite:copy.db"], "in memory"),
        ([FROM, "sqlite::memory:"], "in memory"),
        (["sqlite:nothing.db", "sqlite:copy.db"], "there is no store"),
        (["data/embeddings.db", "sqlite:copy.db"], "sqlite:PATH"),
    ] {
        for command in ["copy", "diff"] {
            let run = place.run(&[&[command], &args[..]].concat()).expect(2);
            run.prints_nothing().says(&[says]);
        }
    }
    let run = place.run(&["copy", FROM, "sqlite:copy.db", "--store", FROM]);
    run.expect(2).says(&["leave --store out"]);
    let run = place.run(&["copy", FROM, "sqlite:copy.db", "--collection", "docs"]);
    run.expect(2).says(&["no collection docs"]);
    assert!(!place.path("copy.db").exists());
    let foreign = place.write(
        "text.db",
        "no database at all, but long enough to be taken for one",
    );
    let before = std::fs::read(&foreign).unwrap();
    let run = place.run(&["copy", FROM, "sqlite:text.db"]);
    assert_ne!(run.code, 0);
    assert!(std::fs::read(&foreign).unwrap() == before);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    /// There and back again through the other kind of store, whatever it went through: nothing is lost on the way.
    #[test]
    fn a_copy_through_another_backend_comes_back_the_same(
        steps in prop::collection::vec(any::<Step>(), 0..50)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let directory = tempfile::tempdir().unwrap();
            let open = |name: &str| {
                storage_sqlite::create_or_open(&SqliteOptions::file(directory.path().join(name))).unwrap()
            };
            let (first, last, between) = (open("first.db"), open("last.db"), MemoryStore::new());
            live(&first, &steps).await;
            let options = CopyOptions {
                collections: None,
                verify: true,
                run: run("copy"),
                at: Timestamp(90_000),
            };
            for (from, to) in [
                (&first as &dyn EmbeddingStore, &between as &dyn EmbeddingStore),
                (&between, &last),
            ] {
                let report = sync_engine::copy(from, to, &options, &QuietCopy).await.unwrap();
                assert!(report.difference.unwrap().is_equal());
            }
            let everything = DiffOptions { depth: Depth::Everything, ..DiffOptions::default() };
            let found = sync_engine::diff(&first, &last, &everything).await.unwrap();
            assert!(found.is_equal(), "{found:#?}");
            let (mut a, mut b) = (snapshot(&first).await, snapshot(&last).await);
            for seen in [&mut a, &mut b] {
                seen.generation = Generation(0);
                for found in &mut seen.collections {
                    found.status.generation = Generation(0);
                }
            }
            assert_eq!(a, b);
            assert!(last.check().await.unwrap().is_ok());
            for found in &a.collections {
                let mut scan = last.scan(&found.status.name, None, Filter::default());
                while let Some(record) = scan.next().await {
                    record.unwrap();
                }
            }
        });
    }
}
