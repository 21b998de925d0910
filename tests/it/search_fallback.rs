//! What still works when the store does not, and what a dry run leaves behind: nothing.

use integration_tests::{Backend, Entry, Faq, Place, on_every_store};
use serde_json::Value;

use crate::support::{api, counts};

#[test]
fn without_a_store_the_source_answers_and_says_so_loudly() {
    let mut place = Place::hash();
    let faq = Faq::with_ids(20);
    place.save("faq.csv", &faq);
    place.set("FAQ_PATH", "faq.csv");
    let before = place.files();
    let args = ["search", &faq.0[6].question, "--json"];
    place.run(&args).expect(2).prints_nothing();

    let run = place
        .run(&[&args[..], &["--on-store-error", "memory"]].concat())
        .ok();
    let run = run.says(&["DEGRADED"]);
    let found = run.json();
    assert_eq!(found["hits"][0]["id"], "t6");
    assert!(found["degraded"].as_str().unwrap().contains("memory"));

    let run = place
        .run(&["status", "--json", "--on-store-error", "memory"])
        .ok();
    assert!(run.says(&["DEGRADED"]).json()["degraded"].is_string());
    assert!(place.files() == before, "a fallback to memory wrote a file");
}

#[test]
fn a_migration_into_memory_says_that_nothing_is_kept() {
    let place = Place::hash();
    place.save("faq.csv", &Faq::with_ids(20));
    place.write("data", "a file where a directory should be");
    let before = place.files();
    let args = ["migrate", "--faq-path", "faq.csv", "--json"];
    place.run(&args).expect(1).prints_nothing();
    let run = place
        .run(&[&args[..], &["--on-store-error", "memory"]].concat())
        .ok();
    let run = run.says(&["DEGRADED", "nothing is kept"]);
    let report = run.json();
    counts(&report, &[("new", 20)]);
    assert!(report["degraded"].is_string());
    assert!(place.files() == before);
}

fn without_the_fallback_and_without_a_source_it_says_what_is_missing(backend: Backend) {
    let place = backend.hash();
    let run = place
        .run(&["search", "карта", "--on-store-error", "memory"])
        .expect(2);
    run.prints_nothing().says(&["FAQ_PATH"]);
}

fn a_dry_run_shows_the_plan_and_writes_nothing(backend: Backend) {
    let api = api();
    let place = backend.stub(&api);
    let faq = Faq::of(25);
    place.save("faq.csv", &faq);
    let before = place.files();
    for command in ["migrate", "sync"] {
        for flag in ["--dry-run", "-n"] {
            let report = place.json(&[command, "--faq-path", "faq.csv", flag]);
            assert_eq!(report["mode"], "dry-run");
            counts(
                &report,
                &[
                    ("new", 25),
                    ("embedded", 0),
                    ("requests", 0),
                    ("to_embed", 25),
                ],
            );
            assert!(place.files() == before);
        }
    }
    assert_eq!(api.requests(), 0);

    place.migrate("faq.csv", &[]);
    let paid = api.requests();
    let edited = faq.edited(|entries| {
        entries.remove(3);
        entries[0].answer.push_str(" Это бесплатно.");
        entries[1].category = "Разное".to_owned();
        entries.extend([Entry::number(100), Entry::number(101)]);
    });
    place.save("faq.csv", &edited);
    let before = place.files();
    let report = place.json(&["sync", "--faq-path", "faq.csv", "--dry-run"]);
    counts(
        &report,
        &[
            ("new", 2),
            ("modified", 1),
            ("relabelled", 1),
            ("deleted", 1),
            ("unchanged", 22),
            ("to_embed", 3),
        ],
    );
    let run = place
        .run(&["sync", "--faq-path", "faq.csv", "--dry-run"])
        .ok();
    assert!(
        run.stdout.contains("To embed: 3 texts") && run.stdout.contains("1 requests"),
        "{}",
        run.stdout
    );
    assert!(place.files() == before);
    assert_eq!(api.requests(), paid);

    // The plan is what then happens.
    let done = place.json(&["sync", "--faq-path", "faq.csv"]);
    for key in ["new", "modified", "relabelled", "deleted", "unchanged"] {
        assert_eq!(report[key], done[key], "{key}");
    }
    assert_eq!(done["embedded"], 3);
    assert_eq!(report["validation"], Value::Null);
}

fn a_dry_run_is_refused_for_what_the_run_would_be_refused_for(backend: Backend) {
    let place = backend.hash();
    place.save("faq.csv", &Faq::with_ids(20));
    place.migrate("faq.csv", &[]);
    place.save("faq.csv", &Faq::with_ids(10));
    let run = place
        .run(&["sync", "--faq-path", "faq.csv", "--dry-run"])
        .expect(6);
    run.says(&["--allow-delete 10"]);
}

on_every_store! {
    a_dry_run_shows_the_plan_and_writes_nothing,
    a_dry_run_is_refused_for_what_the_run_would_be_refused_for,
    without_the_fallback_and_without_a_source_it_says_what_is_missing,
}
