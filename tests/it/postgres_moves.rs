//! Stores that move between SQLite and PostgreSQL: nothing is paid, nothing changes, and the way back is open.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use integration_tests::{Backend, Faq, Place, StubApi};
use serde_json::Value;

use crate::support::{api, counts};

const FILE: &str = "sqlite:data/embeddings.db";

/// A place with both kinds of store; nothing is in either.
fn both(api: &StubApi) -> Option<Place> {
    Backend::Postgres
        .is_there()
        .then(|| Backend::Postgres.stub(api))
}

/// Hits without what differs from run to run: ids, scores to the last bit, generation left out.
fn answers(place: &Place, store: &str, flags: &[&str]) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    for question in [
        "Как оформить вклад?",
        "карта",
        "Это бесплатно",
        "Вопрос номер 7",
    ] {
        let args = [
            &["search", question, "-k", "10", "--store", store][..],
            flags,
        ]
        .concat();
        let document = place.json(&args);
        let hits = document["hits"].as_array().unwrap();
        assert_eq!(hits.len(), 10);
        found.extend(hits.iter().map(|hit| {
            let id = hit["id"].as_str().unwrap().to_owned();
            (id, hit["score"].as_f64().unwrap().to_bits())
        }));
    }
    found
}

fn migrate(place: &Place, store: &str) -> Value {
    place.migrate("faq.csv", &["--store", store])
}

#[test]
fn a_store_moves_there_and_back_without_a_call_and_can_be_rolled_back() {
    let api = api();
    let Some(place) = both(&api) else { return };
    place.save("faq.csv", &Faq::with_ids(30));
    migrate(&place, FILE);
    let on = |args: &[&str], store: &str| place.json(&[args, &["--store", store]].concat());
    on(&["model", "build", "other-model"], FILE);
    on(&["model", "promote", "other-model"], FILE);
    let spent = api.requests();

    let postgres = place.postgres().url();
    let report = place.json(&["copy", FILE, &postgres]);
    counts(
        &report["copied"],
        &[("rows", 30), ("vectors", 60), ("versions", 2)],
    );
    assert_eq!(report["verified"], true);
    assert_eq!(report["requests"], 0);
    assert_eq!(place.rows("faq").len(), 30);
    place.json(&["copy", &postgres, "sqlite:back.db"]);
    for pair in [
        [FILE, &postgres],
        [&postgres, FILE],
        [FILE, "sqlite:back.db"],
    ] {
        let found = place.json(&["diff", pair[0], pair[1], "--all-versions"]);
        assert_eq!(found["equal"], true, "{found:#}");
    }
    assert_eq!(api.requests(), spent, "moving asks nobody");

    // It is a store like any other: checked, gone back on, synced for nothing.
    on(&["validate"], &postgres);
    let back = on(&["model", "rollback"], &postgres);
    assert_eq!(back["model"]["name"], "stub-model");
    let report = on(&["sync", "--faq-path", "faq.csv"], &postgres);
    counts(&report, &[("unchanged", 30), ("requests", 0)]);
    assert_eq!(api.requests(), spent, "every vector was there");
    assert_eq!(on(&["status"], FILE)["model"]["name"], "other-model");
    let differs = place.run(&["diff", FILE, &postgres, "--json"]).expect(4);
    assert_eq!(differs.json()["equal"], false);
}

#[test]
fn the_same_questions_are_answered_the_same_to_the_last_bit() {
    let Some(place) = Backend::Postgres
        .is_there()
        .then(|| Backend::Postgres.hash())
    else {
        return;
    };
    place.save("faq.csv", &Faq::with_ids(150));
    let postgres = place.postgres().url();
    migrate(&place, FILE);
    migrate(&place, &postgres);
    place.json(&["copy", &postgres, "sqlite:copied.db"]);
    let expected = answers(&place, FILE, &[]);
    for (store, flags) in [
        (postgres.as_str(), &[][..]),
        ("sqlite:copied.db", &[]),
        (FILE, &["--exact"]),
        (&postgres, &["--exact"]),
        (&postgres, &["--search-in", "database", "--exact"]),
    ] {
        assert_eq!(answers(&place, store, flags), expected, "{flags:?}");
    }
}

#[test]
fn a_copy_into_postgresql_that_is_killed_goes_on_where_it_stopped() {
    let Some(place) = Backend::Postgres
        .is_there()
        .then(|| Backend::Postgres.hash())
    else {
        return;
    };
    place.save("faq.csv", &Faq::with_ids(2_000));
    place.migrate("faq.csv", &["--no-verify", "--store", FILE]);
    let postgres = place.postgres().url();
    let mut child = place
        .command(&["copy", FILE, &postgres, "--no-verify"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    // The first tenth is durable when it is told.
    assert!(
        lines
            .map(Result::unwrap)
            .any(|line| line.contains("Copying vectors"))
    );
    child.kill().unwrap();
    child.wait().unwrap();
    // Whoever killed it does not wait for the server to notice.
    let report = place.json(&["copy", FILE, &postgres, "--wait", "60s"]);
    let there = report["copied"]["vectors_there"].as_u64().unwrap();
    assert!(there >= 200, "{report:#}");
    counts(
        &report["copied"],
        &[("vectors", 2_000 - there), ("rows", 2_000)],
    );
    assert_eq!(report["verified"], true);
    assert_eq!(place.json(&["diff", FILE, &postgres])["equal"], true);
}

#[test]
fn a_copy_writes_over_no_other_rows() {
    let api = api();
    let Some(place) = both(&api) else { return };
    place.save("faq.csv", &Faq::with_ids(30));
    migrate(&place, FILE);
    place.save("faq.csv", &Faq::with_ids(10));
    let postgres = place.postgres().url();
    migrate(&place, &postgres);
    let before = place.data();
    place
        .run(&["copy", FILE, &postgres])
        .expect(6)
        .prints_nothing()
        .says(&["smart-support diff"]);
    let plan = place.run(&["copy", FILE, &postgres, "--dry-run"]);
    assert_ne!(plan.code, 1, "{}", plan.stderr);
    assert!(place.data() == before);
}
