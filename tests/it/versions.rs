//! Versions side by side: built while the old one serves, switched by one pointer, and back.

use std::process::Stdio;
use std::time::Duration;

use integration_tests::{Backend, Faq, Outcome, Place, Reply, StubApi, on_every_store};
use serde_json::Value;

use crate::support::{DIMENSIONS, Failing, api, billed_once, counts, stopping_at, unavailable};

/// A place with twenty rows that are served by `stub-model`.
fn filled(backend: Backend, api: &StubApi) -> (Place, Faq) {
    let place = backend.stub(api);
    let faq = Faq::with_ids(20);
    place.save("faq.csv", &faq);
    place.migrate("faq.csv", &[]);
    (place, faq)
}

fn sync(place: &Place) -> Value {
    place.json(&["sync", "--faq-path", "faq.csv"])
}

fn edited(place: &Place, faq: &Faq, rows: usize) -> Faq {
    let edited = faq.edited(|entries| {
        for entry in &mut entries[..rows] {
            entry.answer.push_str(" Это бесплатно.");
        }
    });
    place.save("faq.csv", &edited);
    edited
}

/// States and models, oldest first.
fn listed(place: &Place) -> Vec<(String, String, u64)> {
    let list = place.json(&["model", "list"]);
    let versions = list["versions"].as_array().unwrap().iter();
    versions
        .map(|version| {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            (
                text(&version["state"]),
                text(&version["model"]["name"]),
                version["missing"].as_u64().unwrap(),
            )
        })
        .collect()
}

fn version(state: &str, model: &str, missing: u64) -> (String, String, u64) {
    (state.to_owned(), model.to_owned(), missing)
}

fn served(place: &Place) -> String {
    let status = place.json(&["status"]);
    status["model"]["name"].as_str().unwrap().to_owned()
}

fn another_model_is_built_beside_the_live_one_and_switched_to_and_back(backend: Backend) {
    let api = api();
    let (place, _) = filled(backend, &api);
    let before = place.rows("faq");
    let report = place.json(&["model", "build", "other-model"]);
    counts(
        &report,
        &[
            ("total", 20),
            ("rows", 20),
            ("embedded", 20),
            ("requests", 2),
        ],
    );
    assert_eq!(report["complete"], true);
    assert_eq!(report["model"]["name"], "other-model");
    assert_eq!(served(&place), "stub-model", "nobody asked to serve it yet");
    assert_eq!(place.rows("faq"), before);
    assert_eq!(
        listed(&place),
        [
            version("active", "stub-model", 0),
            version("ready", "other-model", 0)
        ]
    );

    let spent = api.requests();
    let promoted = place.json(&["model", "promote", "other-model"]);
    counts(&promoted, &[("stale", 0), ("embedded", 0), ("requests", 0)]);
    assert_eq!(served(&place), "other-model");
    assert_eq!(
        listed(&place),
        [
            version("previous", "stub-model", 0),
            version("active", "other-model", 0)
        ]
    );
    place.json(&["model", "rollback"]);
    assert_eq!(served(&place), "stub-model");
    place.json(&["model", "rollback"]);
    assert_eq!(served(&place), "other-model", "back and forth");
    assert_eq!(api.requests(), spent, "a pointer asks nobody");
    assert_eq!(place.json(&["validate"])["ok"], true);
}

fn a_promotion_needs_no_new_settings(backend: Backend) {
    let api = api();
    let (place, faq) = filled(backend, &api);
    place.json(&["model", "build", "other-model"]);
    place.json(&["model", "promote", "other-model"]);
    // The settings still name the model that was served before.
    let found = place
        .run(&["search", &faq.0[3].text(), "-k", "1", "--json"])
        .ok();
    let found = found.says(&["serves other-model", "the settings say stub-model"]);
    assert_eq!(found.json()["hits"][0]["id"], "t3");
    let sent = api.ledger().last().unwrap().body.clone();
    assert!(sent.contains("other-model"), "{sent}");
    edited(&place, &faq, 1);
    let report = sync(&place);
    counts(&report, &[("modified", 1), ("embedded", 1)]);
    assert_eq!(report["model"]["name"], "other-model");
}

fn another_recipe_is_a_version_of_the_same_space(backend: Backend) {
    let api = api();
    let (place, faq) = filled(backend, &api);
    let report = place.json(&["model", "build", "--embed-text", "{question}"]);
    counts(&report, &[("embedded", 20)]);
    let id = report["version"].as_str().unwrap().to_owned();
    place.json(&["model", "promote", &id[..8]]);
    let listed = place.json(&["model", "list"]);
    assert_eq!(listed["versions"][1]["embed_text"], "{question}");
    assert_eq!(listed["active"], id);
    let question = &faq.0[5].question;
    assert_eq!(place.search(&[question, "-k", "1"]), ["t5"]);
    // The next sync goes by the recipe that is served.
    counts(
        &sync(&place),
        &[("unchanged", 20), ("embedded", 0), ("requests", 0)],
    );
    place.json(&["model", "rollback"]);
    assert_eq!(place.json(&["validate"])["ok"], true);
    // What another collection has paid for is not paid for again.
    let other = ["--collection", "other"];
    let spent = api.requests();
    let report = place.migrate("faq.csv", &other);
    counts(&report, &[("new", 20), ("reused", 20), ("requests", 0)]);
    let build = [
        "model",
        "build",
        "--embed-text",
        "{question}",
        "--collection",
        "other",
    ];
    counts(&place.json(&build), &[("embedded", 0), ("reused", 20)]);
    assert_eq!(api.requests(), spent);
}

fn a_build_that_is_cut_off_goes_on_where_it_was(backend: Backend) {
    let provider = Failing::after(usize::MAX, unavailable());
    let mut place = backend.stub(&provider.api);
    place.save("faq.csv", &Faq::with_ids(100));
    place.migrate("faq.csv", &[]);
    let before = place.rows("faq");
    place.set("EMBEDDING_MAX_RETRIES", "0");
    provider.fail_after(4);
    let build = [
        "model",
        "build",
        "other-model",
        "--concurrency",
        "1",
        "--json",
    ];
    place
        .run(&build)
        .expect(75)
        .prints_nothing()
        .says(&["40 of 100 vectors are stored"]);
    assert_eq!(
        listed(&place),
        [
            version("active", "stub-model", 0),
            version("building", "other-model", 90)
        ]
    );
    assert_eq!(place.rows("faq"), before);
    let refused = place
        .run(&["model", "promote", "other-model"])
        .expect(6)
        .prints_nothing();
    refused.says(&["not finished", "smart-support model build"]);
    place
        .run(&["model", "delete", "other-model"])
        .expect(6)
        .says(&["--abandoned"]);
    assert_eq!(served(&place), "stub-model");
    // What is being built is not for the pruner.
    place.run(&["cache", "prune"]).ok();

    provider.mend();
    let run = place
        .run(&build)
        .ok()
        .says(&["Resuming: 30 of 90 vectors already paid for"]);
    counts(
        &run.json(),
        &[("embedded", 60), ("reused", 30), ("requests", 6)],
    );
    assert_eq!(provider.api.billed().len(), 200);
    place.json(&["model", "promote", "other-model"]);
    assert_eq!(place.json(&["validate"])["ok"], true);
}

fn a_build_keeps_up_with_a_sync_that_comes_between(backend: Backend) {
    let server = stopping_at(13, Reply::Vectors);
    let place = backend.stub(&server.api);
    let faq = Faq::with_ids(100);
    place.save("faq.csv", &faq);
    place.migrate("faq.csv", &["--concurrency", "1"]);
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
    // Half of the build is paid for. A sync needs no more than its turn.
    edited(&place, &faq, 7);
    counts(&sync(&place), &[("modified", 7), ("embedded", 7)]);
    // Only one build at a time.
    let second = place
        .run(&["model", "build", "third-model", "--wait", "0s"])
        .expect(75);
    second.says(&["being built already", "model build"]);
    server.release();
    let run = Outcome::new("the build", child.wait_with_output().unwrap()).ok();
    let report = run.json();
    assert_eq!(report["complete"], true);
    assert_eq!(report["total"], 100);
    assert_eq!(
        listed(&place),
        [
            version("active", "stub-model", 0),
            version("ready", "other-model", 0)
        ]
    );
    place.json(&["model", "promote", "other-model"]);
    let hits = place.json(&["search", "Это бесплатно", "-k", "7"]);
    assert_eq!(hits["hits"].as_array().unwrap().len(), 7);
    assert_eq!(
        place.json(&["validate", "--faq-path", "faq.csv"])["ok"],
        true
    );
}

fn rows_edited_since_are_embedded_before_a_switch(backend: Backend) {
    let api = api();
    let (mut place, faq) = filled(backend, &api);
    place.json(&["model", "build", "other-model"]);
    place.json(&["model", "promote", "other-model"]);
    place.set("EMBEDDING_MODEL_NAME", "other-model");
    edited(&place, &faq, 3);
    sync(&place);
    assert_eq!(
        listed(&place),
        [
            version("previous", "stub-model", 3),
            version("active", "other-model", 0)
        ]
    );
    let before = place.data();
    place.set("EMBEDDING_PRICE", "1000000");
    let run = place
        .run(&["model", "rollback", "--max-cost", "0.01"])
        .expect(6);
    run.says(&["3 texts", "nothing was sent"]);
    assert_eq!(served(&place), "other-model");
    drop(before);
    let report = place.json(&["model", "rollback"]);
    counts(&report, &[("stale", 3), ("embedded", 3), ("requests", 1)]);
    assert_eq!(served(&place), "stub-model");
    assert_eq!(
        place.json(&["validate", "--faq-path", "faq.csv"])["ok"],
        true
    );
}

fn a_row_that_is_only_relabelled_stays_complete_in_every_version(backend: Backend) {
    let api = api();
    let (place, faq) = filled(backend, &api);
    place.json(&["model", "build", "other-model"]);
    let relabelled = faq.edited(|entries| {
        for entry in &mut entries[..5] {
            entry.category = "Другое".to_owned();
        }
    });
    place.save("faq.csv", &relabelled);
    counts(&sync(&place), &[("relabelled", 5), ("requests", 0)]);
    assert_eq!(
        listed(&place),
        [
            version("active", "stub-model", 0),
            version("ready", "other-model", 0)
        ]
    );
}

fn what_cannot_be_switched_to_is_refused_and_changes_nothing(backend: Backend) {
    let api = api();
    let (place, _) = filled(backend, &api);
    place.json(&["model", "build", "other-model"]);
    let before = (place.data(), api.requests());
    place
        .run(&["model", "rollback"])
        .expect(2)
        .says(&["nothing to go back to"]);
    let unknown = place
        .run(&["model", "promote", "other-modle"])
        .expect(2)
        .prints_nothing();
    unknown.says(&["no such version", "did you mean other-model", "model list"]);
    place
        .run(&["model", "promote", "ffffffff"])
        .expect(2)
        .says(&["no such version"]);
    place
        .run(&["model", "delete", "active"])
        .expect(6)
        .says(&["is served"]);
    place
        .run(&["model", "list", "--collection", "fag"])
        .expect(2)
        .says(&["did you mean faq"]);
    place
        .run(&["model", "build", "x", "--collection", "fag"])
        .expect(2)
        .says(&["did you mean faq"]);
    place
        .run(&["model", "build", "--embed-text", "{question"])
        .expect(2)
        .says(&["brace"]);
    assert!(place.data() == before.0);
    assert_eq!(api.requests(), before.1);
    // Serving what is served, and building what is built, is no error.
    place.run(&["model", "promote", "active"]).ok();
    counts(
        &place.json(&["model", "build", "other-model"]),
        &[("requests", 0), ("rows", 0)],
    );
}

fn a_dry_run_of_a_build_tells_its_price_and_writes_nothing(backend: Backend) {
    let api = api();
    let (mut place, _) = filled(backend, &api);
    place.set("EMBEDDING_PRICE", "2.0");
    let before = (place.data(), api.requests());
    let report = place.json(&["model", "build", "other-model", "--dry-run"]);
    counts(&report, &[("to_embed", 20), ("reused", 0), ("requests", 0)]);
    assert_eq!(report["mode"], "dry-run");
    assert_eq!(report["estimate"]["requests"], 2);
    assert!(report["estimate"]["cost"].as_f64().unwrap() > 0.0);
    assert!(place.data() == before.0);
    assert_eq!(api.requests(), before.1);
}

fn a_retired_version_is_deleted_with_its_vectors(backend: Backend) {
    let api = api();
    let (place, _) = filled(backend, &api);
    for name in ["second-model", "third-model"] {
        place.json(&["model", "build", name]);
        place.json(&["model", "promote", name]);
    }
    assert_eq!(
        listed(&place),
        [
            version("retired", "stub-model", 0),
            version("previous", "second-model", 0),
            version("active", "third-model", 0)
        ]
    );
    place
        .run(&["model", "delete", "previous"])
        .expect(6)
        .says(&["rollback"]);
    let freed = place.json(&["model", "delete", "stub-model"]);
    counts(
        &freed,
        &[("vectors", 20), ("bytes", 20 * 4 * DIMENSIONS as u64)],
    );
    assert_eq!(place.scalar("SELECT count(*) FROM embedding_vectors"), 40);
    assert_eq!(listed(&place).len(), 2);
    assert_eq!(place.json(&["validate"])["ok"], true);
}

fn an_abandoned_build_is_given_up(backend: Backend) {
    let provider = Failing::after(usize::MAX, unavailable());
    let mut place = backend.stub(&provider.api);
    place.save("faq.csv", &Faq::with_ids(40));
    place.migrate("faq.csv", &[]);
    place.set("EMBEDDING_MAX_RETRIES", "0");
    provider.fail_after(2);
    place
        .run(&["model", "build", "other-model", "--concurrency", "1"])
        .expect(75);
    let freed = place.json(&["model", "delete", "other-model", "--abandoned"]);
    counts(&freed, &[("vectors", 20)]);
    assert_eq!(listed(&place), [version("active", "stub-model", 0)]);
    assert_eq!(place.json(&["validate"])["ok"], true);
}

fn a_text_that_the_new_model_refuses_keeps_the_version_from_serving(backend: Backend) {
    let api = StubApi::scripted(DIMENSIONS, Duration::ZERO, |number, texts| {
        if number >= 2
            && texts
                .iter()
                .any(|text| text.contains("Вопрос номер 7 ") || text.contains("XYZZY"))
        {
            let body = r#"{"error":{"message":"input too long","type":"invalid_request_error"}}"#;
            return Reply::Status(400, Vec::new(), body.to_owned());
        }
        Reply::Vectors
    });
    let place = backend.stub(&api);
    let faq = Faq::with_ids(20).edited(|entries| entries[7].answer.push_str(" XYZZY"));
    place.save("faq.csv", &faq);
    place.migrate("faq.csv", &[]);
    let run = place
        .run(&["model", "build", "other-model", "--json"])
        .expect(3);
    let report = run.json();
    assert_eq!(report["complete"], false);
    assert_eq!(report["failed"][0]["id"], "t7");
    place
        .run(&["model", "promote", "other-model"])
        .expect(6)
        .says(&["not finished"]);
    assert_eq!(
        listed(&place),
        [
            version("active", "stub-model", 0),
            version("building", "other-model", 1)
        ]
    );
    assert_eq!(served(&place), "stub-model");
}

fn two_models_of_one_collection_are_paid_for_once_each(backend: Backend) {
    let api = api();
    let (place, _) = filled(backend, &api);
    billed_once(&api, 20);
    place.json(&["model", "build", "other-model"]);
    place.json(&["model", "promote", "other-model"]);
    place.json(&["model", "build", "stub-model"]);
    assert_eq!(api.billed().len(), 40, "the first model is still there");
}

on_every_store! {
    another_model_is_built_beside_the_live_one_and_switched_to_and_back,
    a_promotion_needs_no_new_settings,
    another_recipe_is_a_version_of_the_same_space,
    a_build_that_is_cut_off_goes_on_where_it_was,
    a_build_keeps_up_with_a_sync_that_comes_between,
    rows_edited_since_are_embedded_before_a_switch,
    a_row_that_is_only_relabelled_stays_complete_in_every_version,
    what_cannot_be_switched_to_is_refused_and_changes_nothing,
    a_dry_run_of_a_build_tells_its_price_and_writes_nothing,
    a_retired_version_is_deleted_with_its_vectors,
    an_abandoned_build_is_given_up,
    a_text_that_the_new_model_refuses_keeps_the_version_from_serving,
    two_models_of_one_collection_are_paid_for_once_each,
}
