//! `--plan-out` and `apply`: what was agreed on is done as it was agreed on, or not at all.

mod builds;
mod files;

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use integration_tests::{Backend, Faq, Outcome, Place, Reply, StubApi, on_every_store};
use serde_json::Value;

use crate::support::{api, billed_once, counts, stopping_at};

const PLAN: [&str; 5] = ["sync", "--faq-path", "faq.csv", "--plan-out", "plan.json"];
const APPLY: [&str; 2] = ["apply", "plan.json"];

/// A store of twenty entries, and a source with one edited, one gone, one new.
fn edited(backend: Backend, api: &StubApi) -> Place {
    let place = backend.stub(api);
    let faq = Faq::with_ids(20);
    place.save("faq.csv", &faq);
    place.migrate("faq.csv", &[]);
    place.save("faq.csv", &change(&faq));
    place
}

fn change(faq: &Faq) -> Faq {
    faq.edited(|entries| {
        entries[3].answer.push_str(" Это бесплатно.");
        entries[5].subcategory.push_str(" и прочее");
        entries.remove(7);
        let mut new = entries[0].clone();
        new.id = Some("new".to_owned());
        new.question = "Где ближайший банкомат?".to_owned();
        entries.push(new);
    })
}

fn plan(place: &Place) -> Value {
    serde_json::from_slice(&std::fs::read(place.path("plan.json")).unwrap()).unwrap()
}

/// A refusal that names what moved and the command that makes a new plan, and that changes and costs nothing.
#[track_caller]
fn refused(place: &Place, api: &StubApi, says: &[&str]) -> Outcome {
    let before = (place.data(), api.requests());
    let run = place.run(&APPLY).expect(6).prints_nothing().says(says);
    assert!(place.data() == before.0, "a refusal changed the store");
    assert_eq!(api.requests(), before.1, "a refusal cost a call");
    run
}

#[track_caller]
fn stale(place: &Place, api: &StubApi, says: &[&str]) {
    let run = refused(place, api, says);
    let source = place.path("faq.csv");
    let again = format!("smart-support sync --faq-path {} ", source.display());
    let _ = run.says(&["does not stand any more", &again, "--plan-out plan.json"]);
}

fn a_plan_names_every_row_and_applying_it_does_what_it_says(backend: Backend) {
    let api = api();
    let place = edited(backend, &api);
    let before = place.data();
    let shown = place.json(&PLAN);
    assert!(place.data() == before, "a plan is a dry run");
    assert_eq!(shown["mode"], "dry-run");
    assert_eq!(shown["plan"], "plan.json");
    let plan = plan(&place);
    assert_eq!(
        (&plan["schema"], &plan["kind"]),
        (&1.into(), &"sync".into())
    );
    let lines = plan["rows"].as_array().unwrap().iter();
    let mut lines: Vec<String> = lines
        .map(|row| {
            format!(
                "{} {}",
                row["id"].as_str().unwrap(),
                row["change"].as_str().unwrap()
            )
        })
        .collect();
    lines.sort();
    assert_eq!(
        lines,
        ["new added", "t3 modified", "t5 relabelled", "t7 deleted"]
    );
    counts(
        &plan["counts"],
        &[
            ("new", 1),
            ("modified", 1),
            ("relabelled", 1),
            ("deleted", 1),
            ("unchanged", 17),
        ],
    );
    assert_eq!(plan["estimate"], shown["estimate"]);
    let mode = std::fs::metadata(place.path("plan.json"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);

    let report = place.json(&APPLY);
    assert_eq!(report["mode"], "incremental");
    counts(
        &report,
        &[
            ("new", 1),
            ("modified", 1),
            ("relabelled", 1),
            ("deleted", 1),
            ("embedded", 2),
            ("requests", plan["estimate"]["requests"].as_u64().unwrap()),
        ],
    );
    assert_eq!(report["validation"]["ok"], true);
    let after = place.json(&["sync", "--faq-path", "faq.csv"]);
    counts(&after, &[("unchanged", 20), ("requests", 0)]);
    stale(&place, &api, &["generation 2 and was at 1"]);
}

#[test]
fn a_plan_for_a_store_that_is_yet_to_be_created_creates_it() {
    let api = api();
    let place = Place::stub(&api);
    place.save("faq.csv", &Faq::with_ids(20));
    place.json(&[
        "migrate",
        "--faq-path",
        "faq.csv",
        "--plan-out",
        "plans/first/plan.json",
    ]);
    assert!(!place.store().exists());
    assert_eq!(api.requests(), 0);
    let report = place.json(&["apply", "plans/first/plan.json"]);
    counts(&report, &[("new", 20), ("embedded", 20)]);
    assert_eq!(report["mode"], "initial");
    let again = place.run(&["apply", "plans/first/plan.json"]).expect(6);
    let _ = again.says(&["served none", "smart-support migrate --faq-path"]);
}

fn a_plan_of_nothing_can_be_applied_as_often_as_one_likes(backend: Backend) {
    let api = api();
    let place = backend.stub(&api);
    place.save("faq.csv", &Faq::with_ids(20));
    place.migrate("faq.csv", &[]);
    place.json(&PLAN);
    for _ in 0..3 {
        let report = place.json(&APPLY);
        counts(
            &report,
            &[("unchanged", 20), ("requests", 0), ("generation", 1)],
        );
    }
}

#[test]
fn a_plan_can_be_applied_from_another_directory_with_what_it_was_made_of() {
    let api = api();
    let place = Place::stub(&api);
    let faq = Faq::with_ids(20);
    place.save("faq.csv", &faq);
    place.migrate("faq.csv", &["--collection", "help"]);
    place.save("faq.csv", &change(&faq));
    let flags = [
        "--collection",
        "help",
        "--only",
        "t3",
        "--only",
        "t5",
        "--allow-delete",
        "0",
    ];
    place.json(&[&PLAN[..], &flags].concat());
    let store = format!("sqlite:{}", place.store().display());
    let mut command = place.command(&["apply", "../plan.json", "--json", "--store", &store]);
    std::fs::create_dir(place.path("elsewhere")).unwrap();
    command.current_dir(place.path("elsewhere"));
    let run = Outcome::new("apply", command.output().unwrap()).ok();
    let report = run.json();
    assert_eq!(report["collection"], "help");
    counts(
        &report,
        &[
            ("modified", 1),
            ("relabelled", 1),
            ("new", 0),
            ("deleted", 0),
        ],
    );

    place.save("faq.csv", &faq);
    place.json(&[&PLAN[..], &flags].concat());
    let wrong = place.run(&[&APPLY[..], &["--collection", "faq"]].concat());
    let _ = wrong
        .expect(6)
        .says(&["for collection help, not for faq (flag)"]);
}

fn an_edited_source_makes_a_plan_stale(backend: Backend) {
    let api = api();
    let place = edited(backend, &api);
    place.json(&PLAN);
    let source = std::fs::read(place.path("faq.csv")).unwrap();
    place.save("faq.csv", &Faq::with_ids(21));
    stale(&place, &api, &["faq.csv has changed"]);
    // It is the bytes that count, not the time of the file.
    place.write("faq.csv", source);
    counts(&place.json(&APPLY), &[("embedded", 2)]);
}

#[test]
fn a_source_that_is_gone_is_named() {
    let api = api();
    let place = edited(Backend::Sqlite, &api);
    place.json(&PLAN);
    std::fs::remove_file(place.path("faq.csv")).unwrap();
    let before = place.data();
    let _ = place
        .run(&APPLY)
        .expect(2)
        .prints_nothing()
        .says(&["faq.csv", "cannot be read"]);
    assert!(place.data() == before);
}

fn another_sync_makes_a_plan_stale(backend: Backend) {
    let api = api();
    let place = edited(backend, &api);
    place.json(&PLAN);
    place.json(&["sync", "--faq-path", "faq.csv", "--only", "t3"]);
    stale(
        &place,
        &api,
        &["collection faq is at generation 2 and was at 1"],
    );
}

fn a_change_of_another_collection_is_none_of_its_business(backend: Backend) {
    let api = api();
    let place = edited(backend, &api);
    place.json(&PLAN);
    place.save("other.csv", &Faq::with_ids(5));
    place.migrate("other.csv", &["--collection", "other"]);
    counts(
        &place.json(&APPLY),
        &[("new", 1), ("modified", 1), ("deleted", 1)],
    );
}

fn another_active_version_makes_a_plan_stale(backend: Backend) {
    let api = api();
    let place = edited(backend, &api);
    let faq = Faq::with_ids(20);
    place.json(&PLAN);
    place.save("old.csv", &faq);
    std::fs::rename(place.path("faq.csv"), place.path("kept.csv")).unwrap();
    place.save("faq.csv", &faq);
    place.migrate("faq.csv", &["--force-recompute"]);
    std::fs::rename(place.path("kept.csv"), place.path("faq.csv")).unwrap();
    stale(
        &place,
        &api,
        &["collection faq serves version", "and served"],
    );
}

fn another_model_makes_a_plan_stale(backend: Backend) {
    let api = api();
    let mut place = edited(backend, &api);
    place.json(&PLAN);
    place.set("EMBEDDING_MODEL_NAME", "another-model");
    stale(
        &place,
        &api,
        &["the model is another-model of openai and was stub-model of openai"],
    );
    place.set("EMBEDDING_MODEL_NAME", "stub-model");
    place.set("EMBEDDING_DIMENSIONS", "64");
    stale(&place, &api, &["stub-model of openai (64 dimensions)"]);
    place.unset("EMBEDDING_DIMENSIONS");
    place.set("EMBEDDING_PROVIDER", "ollama");
    stale(&place, &api, &["stub-model of ollama"]);
    place.set("EMBEDDING_PROVIDER", "openai");
    place.set("EMBEDDING_PASSAGE_PREFIX", "passage: ");
    stale(&place, &api, &["passage: "]);
    place.unset("EMBEDDING_PASSAGE_PREFIX");
    counts(&place.json(&APPLY), &[("embedded", 2)]);
}

fn everything_that_moved_is_named_at_once(backend: Backend) {
    let api = api();
    let mut place = edited(backend, &api);
    place.json(&PLAN);
    place.json(&["sync", "--faq-path", "faq.csv"]);
    place.save("faq.csv", &Faq::with_ids(20));
    place.set("EMBEDDING_MODEL_NAME", "another-model");
    let says = ["faq.csv has changed", "another-model", "generation 2"];
    stale(&place, &api, &says);
}

fn budgets_of_the_apply_hold(backend: Backend) {
    let api = api();
    let mut place = backend.stub(&api);
    place.set("EMBEDDING_PRICE", "100");
    place.save("faq.csv", &Faq::with_ids(60));
    place.json(&[
        "migrate",
        "--faq-path",
        "faq.csv",
        "--plan-out",
        "plan.json",
    ]);
    let _ = place
        .run(&[&APPLY[..], &["--max-cost", "0.000001"]].concat())
        .expect(6)
        .says(&["budget"]);
    assert_eq!(api.requests(), 0);
    let few = [&APPLY[..], &["--max-requests", "2", "--concurrency", "1"]].concat();
    let _ = place
        .run(&few)
        .expect(6)
        .says(&["20 of 60 vectors are stored"]);
    // The plan still stands: nothing that it was made on has moved, and what is paid for stays so.
    let run = place.run(&[&APPLY[..], &["--json"]].concat()).ok();
    let report = run
        .says(&["Resuming: 20 of 60 vectors already paid for"])
        .json();
    counts(&report, &[("new", 60), ("embedded", 40), ("reused", 20)]);
    billed_once(&api, 60);
}

fn an_apply_that_is_killed_is_finished_by_a_new_plan_or_by_the_same(backend: Backend) {
    for again in [true, false] {
        let server = stopping_at(4, Reply::Vectors);
        let place = backend.stub(&server.api);
        place.save("faq.csv", &Faq::with_ids(100));
        let plan = [
            "migrate",
            "--faq-path",
            "faq.csv",
            "--plan-out",
            "plan.json",
        ];
        let first = place.json(&plan);
        counts(&first["estimate"], &[("texts", 100), ("requests", 10)]);
        let mut child = place
            .command(&[&APPLY[..], &["--concurrency", "1"]].concat())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        server.wait();
        child.kill().unwrap();
        child.wait().unwrap();
        server.release();
        if again {
            let left = place.json(&plan);
            counts(&left["estimate"], &[("texts", 60), ("requests", 6)]);
            counts(&left, &[("new", 100), ("reused", 40)]);
        }
        let report = place.json(&APPLY);
        counts(&report, &[("new", 100), ("embedded", 60), ("reused", 40)]);
        // The call that was under way when the run was killed is the only one that was paid for in vain.
        assert_eq!(server.api.billed().len(), 110);
        assert_eq!(place.json(&["validate"])["ok"], true);
    }
}

fn a_plan_of_a_recompute_is_applied_as_one(backend: Backend) {
    let api = api();
    let place = edited(backend, &api);
    let args = [&PLAN[..], &["--force-recompute"]].concat();
    let shown = place.json(&args);
    counts(&shown["estimate"], &[("texts", 20)]);
    let report = place.json(&APPLY);
    assert_eq!(report["mode"], "forced");
    counts(&report, &[("embedded", 20), ("deleted", 1)]);
    let again = refused(&place, &api, &["serves version"]);
    let _ = again.says(&["--force-recompute"]);
}

#[test]
fn rows_that_cannot_be_read_are_in_no_plan_and_still_reported() {
    let api = api();
    let place = Place::stub(&api);
    let faq = Faq::with_ids(10).edited(|entries| {
        entries[4].question.clear();
        entries[4].answer.clear();
    });
    place.save("faq.csv", &faq);
    let args = [
        "migrate",
        "--faq-path",
        "faq.csv",
        "--plan-out",
        "plan.json",
        "--json",
    ];
    let shown = place.run(&args).expect(3).json();
    assert_eq!(shown["failed"].as_array().unwrap().len(), 1);
    counts(&plan(&place)["counts"], &[("new", 9), ("failed", 1)]);
    let report = place
        .run(&[&APPLY[..], &["--json"]].concat())
        .expect(3)
        .json();
    counts(&report, &[("new", 9)]);
}

on_every_store! {
    a_plan_names_every_row_and_applying_it_does_what_it_says,
    a_plan_of_nothing_can_be_applied_as_often_as_one_likes,
    an_edited_source_makes_a_plan_stale,
    another_sync_makes_a_plan_stale,
    a_change_of_another_collection_is_none_of_its_business,
    another_active_version_makes_a_plan_stale,
    another_model_makes_a_plan_stale,
    everything_that_moved_is_named_at_once,
    budgets_of_the_apply_hold,
    an_apply_that_is_killed_is_finished_by_a_new_plan_or_by_the_same,
    a_plan_of_a_recompute_is_applied_as_one,
}
