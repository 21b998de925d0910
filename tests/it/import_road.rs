//! The road of every import: six steps, a rehearsal that writes nothing, and what is refused before a row has moved.

use std::collections::BTreeMap;

use integration_tests::{Backend, Faq, on_every_store};
use serde_json::{Value, json};

use crate::import_support::{Held, Item, computed, held, items, save_items, with};
use crate::support::{DIMENSIONS, Failing, api, counts, unauthorized};

fn of(expected: &[Item], found: &BTreeMap<String, Held>) {
    assert_eq!(found.len(), expected.len());
    for item in expected {
        let row = &found[&item.id];
        let bits: Vec<u32> = item.vector.iter().map(|one| one.to_bits()).collect();
        assert_eq!(row.bits, bits, "{}", item.id);
        assert_eq!(row.answer(), item.text.as_deref().unwrap_or_default());
        assert_eq!(row.metadata(), json!({"n": 1, "x": 0.5, "l": ["a"]}));
    }
}

fn six_steps_go_by_and_every_vector_arrives(backend: Backend) {
    let place = backend.place();
    let mut all = items(250, DIMENSIONS);
    for item in &mut all[..10] {
        item.text = None;
    }
    let args = save_items(&place, "old", &all);
    let run = place.run(&with(&args, &["--batch-size", "100"])).ok();
    let run = run.says(&[
        "[Step 1/6] Running pre-flight checks...",
        "[Step 2/6] Analyzing current state...",
        "[Step 3/6] Building migration plan...",
        "[Step 4/6] Migrating 250 records...",
        "Processing batch 3/3 (50 records)...",
        "Progress: 250/250 (100.0%) - Migrated: 250, Errors: 0",
        "[Step 5/6] Verifying migration integrity...",
        "[Step 6/6] Reporting...",
    ]);
    run.prints(&[
        "MIGRATION SUMMARY",
        "Total records: 250",
        "Successfully migrated: 250",
        "Errors: 0",
        "Final coverage: 100.0% of the source",
        "Without text: searchable, can never be embedded again: 10",
        "smart-support import rollback ",
    ]);
    of(&all, &held(&place, backend, "faq"));
    assert_eq!(place.json(&["validate"])["ok"], true);

    let before = held(&place, backend, "faq");
    let again = place.json(&with(&args, &[]));
    counts(
        &again,
        &[("imported", 0), ("skipped", 250), ("source_total", 250)],
    );
    assert_eq!(again["collections"][0]["run"], Value::Null);
    assert_eq!(held(&place, backend, "faq"), before);
}

fn a_rehearsal_writes_nothing(backend: Backend) {
    let place = backend.place();
    let args = save_items(&place, "old", &items(30, DIMENSIONS));
    let files = place.files();
    let report = place.json(&with(&args, &["--dry-run"]));
    assert_eq!(report["dry_run"], true);
    counts(&report, &[("source_total", 30), ("imported", 30)]);
    assert!(place.files() == files, "a rehearsal wrote without a store");

    place.json(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let more = save_items(&place, "more", &items(40, DIMENSIONS));
    let files = place.files();
    let report = place.json(&with(&more, &["--dry-run"]));
    counts(&report, &[("imported", 10), ("skipped", 30)]);
    assert!(place.files() == files, "a rehearsal wrote to a store");
    let report = place.json(&with(&more, &[]));
    counts(&report, &[("imported", 10), ("skipped", 30)]);
}

fn rows_of_another_source_stay_unless_told_otherwise(backend: Backend) {
    let api = api();
    let place = backend.stub(&api);
    place.save("faq.csv", &Faq::with_ids(3));
    place.migrate("faq.csv", &["--embed-text", "{answer}"]);
    let before = held(&place, backend, "faq");
    let taken: Vec<&String> = before.keys().collect();
    let mut all = items(5, DIMENSIONS);
    all[1].id.clone_from(taken[0]);
    all[3].id.clone_from(taken[2]);
    let args = save_items(&place, "old", &all);

    let run = place.run(&with(&args, &["--offline", "--json"])).expect(3);
    let report = run.json();
    counts(
        &report,
        &[("imported", 3), ("conflicts", 2), ("replaced", 0)],
    );
    let errors = report["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 2);
    for (error, id) in errors.iter().zip([taken[0], taken[2]]) {
        assert_eq!(error["id"], **id);
        assert!(
            error["reason"].as_str().unwrap().contains("--force"),
            "{error}"
        );
    }
    let now = held(&place, backend, "faq");
    assert_eq!(now.len(), 6);
    for id in &taken {
        assert_eq!(now[*id], before[*id]);
    }

    let report = place.json(&with(&args, &["--offline", "--force"]));
    counts(&report, &[("imported", 2), ("replaced", 2), ("skipped", 3)]);
    let now = held(&place, backend, "faq");
    for item in &all {
        let bits: Vec<u32> = item.vector.iter().map(|one| one.to_bits()).collect();
        assert_eq!(now[&item.id].bits, bits);
        assert_eq!(now[&item.id].source(), "vectors:faq");
    }
    assert_eq!(now[taken[1]], before[taken[1]]);
    assert_eq!(place.json(&["validate"])["ok"], true);
}

fn records_that_cannot_move_are_listed_and_the_rest_moves(backend: Backend) {
    let place = backend.place();
    let mut all = items(6, DIMENSIONS);
    all[4].id = all[2].id.clone();
    all[5].vector[7] = f32::NAN;
    let args = save_items(&place, "old", &all);
    let run = place.run(&with(&args, &["--json", "--metadata-dir", "reports"]));
    let run = run.expect(3);
    let report = run.json();
    counts(&report, &[("source_total", 6), ("imported", 4)]);
    let errors = report["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 2, "{errors:#?}");
    for error in errors {
        assert!(
            error["row"].is_u64() && error["reason"].is_string(),
            "{error}"
        );
    }
    let coverage = report["coverage"].as_f64().unwrap();
    assert!((coverage - 4.0 / 6.0).abs() < 1e-9, "{coverage}");
    let left = [&all[..2], &all[2..4]].concat();
    of(&left, &held(&place, backend, "faq"));
    let written = std::fs::read_to_string(place.path("reports/smart-support-import.json")).unwrap();
    let written: Value = serde_json::from_str(&written).unwrap();
    assert_eq!(written["errors"], report["errors"]);
    let page = std::fs::read_to_string(place.path("reports/smart-support-import.md")).unwrap();
    assert!(page.contains(&all[2].id), "{page}");
}

fn the_provider_is_asked_whether_the_vectors_are_of_its_model(backend: Backend) {
    let api = api();
    let place = backend.stub(&api);
    let same = computed(&place, backend);
    let asked = api.requests();
    let args = save_items(&place, "same", &same);
    let report = place.json(&with(&args, &[]));
    counts(&report, &[("imported", 12), ("requests", 1)]);
    assert_eq!(report["collections"][0]["model_check"], "agrees");
    assert!(report["collections"][0]["model_cosine"].as_f64().unwrap() > 0.999);
    assert_eq!(api.requests(), asked + 1);

    // Others, under the same name.
    let mut others = items(12, DIMENSIONS);
    let args = save_items(&place, "others", &others);
    let before = place.json(&["status", "--collection", "old"]);
    let into = ["--collection", "old"];
    let run = place.run(&with(&args, &into)).expect(6).prints_nothing();
    assert!(run.error().contains("not of stub-model"), "{}", run.error());
    assert!(run.error().contains("--offline"), "{}", run.error());
    assert_eq!(
        place.json(&["status", "--collection", "old"])["records"],
        before["records"]
    );
    let asked = api.requests();
    let report = place.json(&with(&args, &["--collection", "old", "--offline"]));
    assert_eq!(report["collections"][0]["model_check"], "not asked");
    assert_eq!(api.requests(), asked);

    // Nothing to ask about.
    for item in &mut others {
        item.text = None;
    }
    let args = save_items(&place, "silent", &others);
    let report = place.json(&with(&args, &["--collection", "silent"]));
    assert_eq!(report["collections"][0]["model_check"], "no text");
    assert_eq!(api.requests(), asked);
}

fn a_provider_that_refuses_leaves_the_store_as_it_was(backend: Backend) {
    let provider = Failing::after(0, unauthorized());
    let place = backend.stub(&provider.api);
    let args = save_items(&place, "old", &items(12, DIMENSIONS));
    let run = place.run(&with(&args, &[])).expect(2).prints_nothing();
    assert!(run.stderr.contains("--offline"), "{}", run.stderr);
    assert_eq!(place.scalar("SELECT count(*) FROM embedding_records"), 0);
    place.json(&with(&args, &["--offline"]));
    assert_eq!(held(&place, backend, "faq").len(), 12);
}

fn vectors_of_another_model_are_refused(backend: Backend) {
    let api = api();
    let place = backend.stub(&api);
    place.save("faq.csv", &Faq::with_ids(3));
    place.migrate("faq.csv", &["--embed-text", "{answer}"]);
    let before = held(&place, backend, "faq");
    let mut args = save_items(&place, "old", &items(5, DIMENSIONS));
    *args.last_mut().unwrap() = "another-model".to_owned();
    let run = place.run(&with(&args, &[])).expect(6).prints_nothing();
    assert!(run.error().contains("--collection"), "{}", run.error());
    // And of another length.
    let args = save_items(&place, "short", &items(5, DIMENSIONS / 2));
    let run = place.run(&with(&args, &["--offline"])).expect(6);
    assert!(run.error().contains("--collection"), "{}", run.error());
    assert_eq!(held(&place, backend, "faq"), before);
    // Without a name there is nothing to compare at all.
    let nameless = &args[..args.len() - 2];
    let run = place.run(&with(nameless, &[])).expect(2);
    assert!(run.error().contains("--model"), "{}", run.error());
}

fn files_that_do_not_belong_together_are_refused(backend: Backend) {
    let place = backend.place();
    let args = save_items(&place, "old", &items(5, DIMENSIONS));
    let whole = std::fs::read(place.path("old.f32")).unwrap();
    for cut in [0, 7, whole.len() - 4, whole.len() - 4 * DIMENSIONS] {
        place.write("old.f32", &whole[..cut]);
        let run = place.run(&with(&args, &[]));
        assert_ne!(run.code, 0, "{cut}");
        assert!(run.error().contains("old.f32"), "{}", run.error());
    }
    place.write("old.f32", &whole);
    place.write(
        "old.jsonl",
        "{\"id\": 1}\nnot json\n{}\n[]\n{\"id\": \"x\"}\n",
    );
    let run = place.run(&with(&args, &["--json"])).expect(3);
    assert_eq!(run.json()["source_total"], 5);
    assert!(!run.json()["errors"].as_array().unwrap().is_empty());
    assert_eq!(place.json(&["validate"])["ok"], true);
}

on_every_store! {
    six_steps_go_by_and_every_vector_arrives,
    a_rehearsal_writes_nothing,
    rows_of_another_source_stay_unless_told_otherwise,
    records_that_cannot_move_are_listed_and_the_rest_moves,
    the_provider_is_asked_whether_the_vectors_are_of_its_model,
    a_provider_that_refuses_leaves_the_store_as_it_was,
    vectors_of_another_model_are_refused,
    files_that_do_not_belong_together_are_refused,
}
