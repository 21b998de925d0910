//! Cache, schema, completions, and what `validate` finds.

use integration_tests::{Backend, Faq, Place, on_every_store};
use serde_json::{Value, json};

use crate::support::{Failing, counts, unauthorized};

fn a_vector_that_no_row_needs_is_kept_until_it_is_pruned(backend: Backend) {
    let api = crate::support::api();
    let place = backend.stub(&api);
    let faq = Faq::with_ids(20);
    place.save("faq.csv", &faq);
    place.migrate("faq.csv", &[]);
    counts(
        &place.json(&["cache", "stats"]),
        &[("vectors", 20), ("unreferenced", 0)],
    );

    place.save("faq.csv", &faq.edited(|entries| entries.truncate(18)));
    place.json(&["sync", "--faq-path", "faq.csv"]);
    let stats = place.json(&["cache", "stats"]);
    counts(&stats, &[("vectors", 20), ("unreferenced", 2)]);
    assert!(stats["unreferenced_bytes"].as_u64().unwrap() >= 2 * 64 * 4);

    // They come back for nothing.
    place.save("faq.csv", &faq);
    let report = place.json(&["sync", "--faq-path", "faq.csv"]);
    counts(&report, &[("new", 2), ("requests", 0), ("reused", 2)]);

    place.save("faq.csv", &faq.edited(|entries| entries.truncate(18)));
    place.json(&["sync", "--faq-path", "faq.csv"]);
    let before = place.data();
    let kept = place.json(&["cache", "prune", "--dry-run"]);
    counts(&kept, &[("unreferenced", 2)]);
    assert!(place.data() == before);
    let kept = place.json(&["cache", "prune", "--older-than", "90d"]);
    counts(&kept, &[("removed", 0), ("unreferenced", 2)]);
    let pruned = place.json(&["cache", "prune"]);
    counts(
        &pruned,
        &[("removed", 2), ("vectors", 18), ("unreferenced", 0)],
    );
    assert_eq!(place.rows("faq").len(), 18);
    assert_eq!(
        place.json(&["validate", "--faq-path", "faq.csv"])["ok"],
        true
    );
    counts(&place.json(&["cache", "prune"]), &[("removed", 0)]);
}

fn pruning_does_not_take_what_an_interrupted_recompute_has_paid(backend: Backend) {
    let provider = Failing::after(usize::MAX, unauthorized());
    let place = backend.stub(&provider.api);
    place.save("faq.csv", &Faq::of(100));
    place.migrate("faq.csv", &[]);
    provider.fail_after(4);
    place
        .run(&["migrate", "--faq-path", "faq.csv", "--force-recompute"])
        .expect(2);
    counts(&place.json(&["cache", "prune"]), &[("removed", 0)]);
    provider.mend();
    let report = place.migrate("faq.csv", &["--force-recompute"]);
    counts(&report, &[("embedded", 60), ("reused", 40)]);
    assert_eq!(provider.api.billed().len(), 200);
}

fn pruning_does_not_take_what_an_interrupted_first_run_has_paid(backend: Backend) {
    let provider = Failing::after(4, unauthorized());
    let place = backend.stub(&provider.api);
    place.save("faq.csv", &Faq::of(100));
    place.run(&["migrate", "--faq-path", "faq.csv"]).expect(2);
    counts(&place.json(&["cache", "prune"]), &[("removed", 0)]);
    provider.mend();
    let report = place.migrate("faq.csv", &[]);
    counts(&report, &[("embedded", 60), ("reused", 40)]);
}

fn a_schema_is_shown_and_applied_once(backend: Backend) {
    let place = backend.hash();
    let first = place.json(&["schema", "migrate"]);
    assert_eq!(first["current"], first["latest"]);
    assert_eq!(first["pending"], json!([]));
    let before = place.data();
    let again = place.json(&["schema", "migrate"]);
    assert_eq!(again["applied"], json!([]));
    let status = place.json(&["schema", "status"]);
    assert_eq!(
        (&status["current"], &status["pending"]),
        (&first["latest"], &json!([]))
    );
    assert!(place.data() == before);
    assert_eq!(place.json(&["validate"])["ok"], true);
}

#[test]
fn completions_come_whatever_the_settings_are() {
    let place = Place::new();
    place.write("smart-support.toml", "not = [ toml");
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let run = place.run(&["completions", shell]).ok();
        assert!(
            run.stdout.contains("smart-support") && run.stdout.contains("migrate"),
            "{shell}"
        );
    }
}

#[test]
fn a_damaged_store_is_found_out() {
    let cases = [
        (
            "UPDATE embedding_records SET body = 'Другое.' WHERE record_id = 1",
            "content_hashes",
        ),
        (
            "UPDATE embedding_vectors SET embedding = zeroblob(length(embedding)) WHERE vector_id = 1",
            "vector_hashes",
        ),
        ("DELETE FROM record_inputs WHERE record_id = 1", "templates"),
        ("UPDATE collections SET record_count = 7", "templates"),
        (
            "UPDATE category_counts SET category = 'Нет такой' WHERE category = 'Карты'",
            "categories",
        ),
        ("UPDATE store_state SET generation = 41", "generation"),
        (
            "DELETE FROM embedding_vectors WHERE vector_id = 1",
            "foreign_keys",
        ),
    ];
    for (statement, check) in cases {
        let place = Place::hash();
        place.save("faq.csv", &Faq::of(20));
        place.migrate("faq.csv", &[]);
        place.execute(statement);
        let before = place.data();
        let run = place.run(&["validate", "--json"]).expect(4);
        let report = run.json();
        assert_eq!(report["ok"], false, "{check}");
        let checks = report["checks"].as_array().unwrap();
        let failed: Vec<&str> = checks
            .iter()
            .filter(|check| check["ok"] == false)
            .map(|check| check["name"].as_str().unwrap())
            .collect();
        assert!(failed.contains(&check), "{failed:?} without {check}");
        let run = place.run(&["validate"]).expect(4);
        assert!(run.stdout.contains('✗') && run.stdout.contains("Validation failed"));
        assert!(place.data() == before);
    }
}

fn a_source_that_has_changed_is_a_difference(backend: Backend) {
    let place = backend.hash();
    let faq = Faq::with_ids(20);
    place.save("faq.csv", &faq);
    place.migrate("faq.csv", &[]);
    let edits: [fn(&mut Vec<integration_tests::Entry>); 4] = [
        |entries| entries[0].answer.push('!'),
        |entries| entries[0].category = "Разное".to_owned(),
        |entries| drop(entries.pop()),
        |entries| {
            entries.push(integration_tests::Entry {
                id: Some("n".to_owned()),
                ..integration_tests::Entry::number(90)
            })
        },
    ];
    let before = place.data();
    for edit in edits {
        place.save("faq.csv", &faq.edited(edit));
        let run = place
            .run(&["validate", "--faq-path", "faq.csv", "--json"])
            .expect(4);
        let report = run.json();
        let checks = report["checks"].as_array().unwrap();
        let failed: Vec<&Value> = checks.iter().filter(|check| check["ok"] == false).collect();
        assert_eq!(failed.len(), 1, "{report:#}");
        assert_eq!(failed[0]["name"], "source");
        // The store alone is sound.
        place.run(&["validate"]).ok();
    }
    assert!(place.data() == before);
}

fn every_run_is_in_the_ledger(backend: Backend) {
    let provider = Failing::after(2, unauthorized());
    let place = backend.stub(&provider.api);
    place.save("faq.csv", &Faq::of(30));
    place
        .run(&["migrate", "--faq-path", "faq.csv", "--concurrency", "1"])
        .expect(2);
    provider.mend();
    place.migrate("faq.csv", &[]);
    let sum = |column: &str, state: &str| {
        place.scalar(&format!(
            "SELECT coalesce(sum({column}), 0) FROM runs WHERE state = '{state}'"
        ))
    };
    assert_eq!(
        (
            sum("1", "failed"),
            sum("texts", "failed"),
            sum("requests", "failed")
        ),
        (1, 20, 3)
    );
    assert_eq!(
        (
            sum("1", "finished"),
            sum("texts", "finished"),
            sum("requests", "finished")
        ),
        (1, 10, 1)
    );
}

on_every_store! {
    a_vector_that_no_row_needs_is_kept_until_it_is_pruned,
    pruning_does_not_take_what_an_interrupted_recompute_has_paid,
    pruning_does_not_take_what_an_interrupted_first_run_has_paid,
    a_schema_is_shown_and_applied_once,
    a_source_that_has_changed_is_a_difference,
    every_run_is_in_the_ledger,
}
