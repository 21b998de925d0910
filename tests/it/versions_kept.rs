//! What is paid for while a version is built is kept, whoever tidies up meanwhile, and is found again by every road.

use std::process::Stdio;

use integration_tests::{Backend, Faq, Outcome, Place, Reply, StubApi, on_every_store};
use serde_json::Value;

use crate::support::{Failing, api, counts, stopping_at, unavailable};

fn filled(backend: Backend, api: &StubApi, rows: usize) -> (Place, Faq) {
    let place = backend.stub(api);
    let faq = Faq::with_ids(rows);
    place.save("faq.csv", &faq);
    place.migrate("faq.csv", &["--concurrency", "1"]);
    (place, faq)
}

fn edit(place: &Place, faq: &Faq) {
    let edited = faq.edited(|entries| {
        for entry in entries {
            entry.answer.push_str(" Это бесплатно.");
        }
    });
    place.save("faq.csv", &edited);
    place.json(&["sync", "--faq-path", "faq.csv"]);
}

fn states(place: &Place) -> Vec<String> {
    let list = place.json(&["model", "list"]);
    let versions = list["versions"].as_array().unwrap().iter();
    versions
        .map(|version| version["state"].as_str().unwrap().to_owned())
        .collect()
}

fn a_version_that_is_brought_up_to_date_is_not_pruned_meanwhile(backend: Backend) {
    // 40 rows, twice; then 40 edited ones in the first model, and some in the second.
    let server = stopping_at(14, Reply::Vectors);
    let (place, faq) = filled(backend, &server.api, 40);
    place.json(&["model", "build", "other-model", "--concurrency", "1"]);
    edit(&place, &faq);
    let args = [
        "model",
        "build",
        "other-model",
        "--concurrency",
        "1",
        "--json",
    ];
    let mut command = place.command(&args);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    server.wait();
    for tidying in [
        &["cache", "prune", "--wait", "0s"][..],
        &["model", "delete", "other-model", "--wait", "0s"],
    ] {
        place.run(tidying).expect(75).says(&["model build"]);
    }
    server.release();
    let run = Outcome::new("the build", child.wait_with_output().unwrap()).ok();
    counts(&run.json(), &[("embedded", 40), ("rows", 40)]);
    assert_eq!(server.api.billed().len(), 160, "each text once a model");
    assert_eq!(place.json(&["validate"])["ok"], true);
}

fn a_stale_version_is_finished_by_its_id_and_then_measured(backend: Backend) {
    let api = api();
    let (place, faq) = filled(backend, &api, 20);
    let report = place.json(&["model", "build", "--force-recompute"]);
    let twin = report["version"].as_str().unwrap()[..8].to_owned();
    edit(&place, &faq);
    place.write(
        "golden.jsonl",
        r#"{"query": "Это бесплатно", "gold": ["t0"]}"#,
    );
    let promote = ["model", "promote", &twin, "--golden", "golden.jsonl"];
    let refused = place.run(&promote).expect(6);
    refused.says(&[&format!("smart-support model build {twin}")]);
    counts(&place.json(&["model", "build", &twin]), &[("embedded", 20)]);
    place.run(&promote).ok();
    assert_eq!(
        place.json(&["model", "list"])["active"].as_str().unwrap()[..8],
        twin
    );
}

#[test]
fn a_gate_that_measures_nothing_is_no_gate() {
    let api = api();
    let (place, _) = filled(Backend::Sqlite, &api, 20);
    place.json(&["model", "build", "other-model"]);
    place.write("empty.jsonl", r#"{"query": "Погода", "gold": []}"#);
    let promote = ["model", "promote", "other-model", "--golden", "empty.jsonl"];
    place
        .run(&promote)
        .expect(2)
        .says(&["nothing can be proved"]);
    let served = ["model", "promote", "active", "--golden", "absent.jsonl"];
    place.run(&served).expect(2).says(&["absent.jsonl"]);
    assert_eq!(states(&place), ["active", "ready"]);
    place.write("golden.jsonl", r#"{"query": "Погода", "gold": ["t0"]}"#);
    let spent = api.requests();
    let promote = [
        "model",
        "promote",
        "other-model",
        "--golden",
        "golden.jsonl",
        "--max-requests",
        "0",
    ];
    assert_ne!(place.run(&promote).code, 0);
    assert_eq!(api.requests(), spent, "the gate keeps to the bound");
}

fn a_recompute_takes_up_what_a_build_of_the_same_kind_began(backend: Backend) {
    let provider = Failing::after(usize::MAX, unavailable());
    let (mut place, _) = filled(backend, &provider.api, 40);
    place.set("EMBEDDING_MAX_RETRIES", "0");
    provider.fail_after(2);
    let build = ["model", "build", "--force-recompute", "--concurrency", "1"];
    place.run(&build).expect(75);
    provider.mend();
    let report = place.migrate("faq.csv", &["--force-recompute"]);
    counts(&report, &[("embedded", 20), ("reused", 20)]);
    assert_eq!(states(&place), ["previous", "active"]);
    // And what was built to the end is there to be served, not to be paid for again.
    counts(&place.json(&build[..3]), &[("embedded", 40)]);
    counts(
        &place.json(&build[..3]),
        &[("embedded", 0), ("requests", 0)],
    );
    let report = place.migrate("faq.csv", &["--force-recompute"]);
    counts(&report, &[("embedded", 0), ("requests", 0)]);
    assert_eq!(provider.api.billed().len(), 120);
    assert_eq!(place.json(&["validate"])["ok"], true);
}

fn another_collection_shares_what_a_recompute_paid_for(backend: Backend) {
    let api = api();
    let (place, _) = filled(backend, &api, 20);
    for _ in 0..2 {
        place.migrate("faq.csv", &["--force-recompute"]);
    }
    let first = place.json(&["model", "list"])["versions"][0]["id"].clone();
    place.json(&["model", "delete", &first.as_str().unwrap()[..8]]);
    let report = place.migrate("faq.csv", &["--collection", "other"]);
    counts(&report, &[("new", 20), ("reused", 20), ("requests", 0)]);
}

fn a_complete_version_is_not_deleted_as_abandoned(backend: Backend) {
    let api = api();
    let (place, _) = filled(backend, &api, 20);
    place.json(&["model", "build", "other-model"]);
    let refused = place
        .run(&["model", "delete", "other-model", "--abandoned"])
        .expect(6);
    refused.says(&["not being built"]);
    assert_eq!(states(&place), ["active", "ready"]);
}

#[test]
fn a_recipe_that_gives_no_text_leaves_nothing_behind() {
    let api = api();
    let (place, _) = filled(Backend::Sqlite, &api, 20);
    let before = place.data();
    let run = place
        .run(&["model", "build", "--embed-text", "{answr}"])
        .expect(2);
    run.says(&["{answr}", "question, answer, category"]);
    assert_eq!(states(&place), ["active"]);
    drop(before);
}

#[test]
fn a_recipe_in_the_settings_does_not_undo_a_promotion() {
    let api = api();
    let (place, faq) = filled(Backend::Sqlite, &api, 20);
    let report = place.json(&["model", "build", "--embed-text", "{question}"]);
    place.json(&["model", "promote", report["version"].as_str().unwrap()]);
    place.write(
        "smart-support.toml",
        "[source]\nembed-text = '{question}\\n{answer}'\n",
    );
    place.save("faq.csv", &faq);
    let run = place.run(&["sync", "--faq-path", "faq.csv", "--json"]).ok();
    let run = run.says(&["serves the recipe"]);
    counts(&run.json(), &[("unchanged", 20), ("requests", 0)]);
}

#[test]
fn a_begun_recompute_of_another_model_is_passed_over() {
    let changed = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(usize::MAX));
    let known = std::sync::Arc::clone(&changed);
    let api = StubApi::scripted(
        crate::support::DIMENSIONS,
        std::time::Duration::ZERO,
        move |number, texts| {
            if number == known.load(std::sync::atomic::Ordering::SeqCst) {
                return unavailable();
            }
            if number > known.load(std::sync::atomic::Ordering::SeqCst) {
                let vector = |index: usize| -> Value {
                    let numbers: Vec<f64> = (0..crate::support::DIMENSIONS)
                        .map(|at| ((at * 5 + index) % 13) as f64 - 6.5)
                        .collect();
                    serde_json::json!({ "index": index, "embedding": numbers })
                };
                let data: Vec<Value> = (0..texts.len()).map(vector).collect();
                return Reply::Body(serde_json::json!({ "data": data }).to_string());
            }
            Reply::Vectors
        },
    );
    let (mut place, _) = filled(Backend::Sqlite, &api, 40);
    place.set("EMBEDDING_MAX_RETRIES", "0");
    changed.store(api.requests() + 2, std::sync::atomic::Ordering::SeqCst);
    let build = ["model", "build", "--force-recompute", "--concurrency", "1"];
    place.run(&build).expect(75);
    let connection = rusqlite::Connection::open(place.store()).unwrap();
    let day_ago =
        "UPDATE embedding_spaces SET canaries_checked_at = canaries_checked_at - 86400001";
    connection.execute(day_ago, ()).unwrap();
    drop(connection);
    // The provider has another model now: the way out that its refusal names is one.
    counts(&place.json(&build), &[("rows", 40), ("embedded", 40)]);
    assert_eq!(place.scalar("SELECT count(*) FROM embedding_spaces"), 3);
    assert_eq!(place.json(&["validate"])["ok"], true);
}

on_every_store! {
    a_version_that_is_brought_up_to_date_is_not_pruned_meanwhile,
    a_stale_version_is_finished_by_its_id_and_then_measured,
    a_recompute_takes_up_what_a_build_of_the_same_kind_began,
    another_collection_shares_what_a_recompute_paid_for,
    a_complete_version_is_not_deleted_as_abandoned,
}
