//! An import that is cut off is taken up again, and one that was a mistake is undone to the bit.

use std::process::Stdio;

use integration_tests::{Backend, Faq, Outcome, Place, Reply, on_every_store};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::import_support::{Item, computed, held, items, save_items, stored_vectors, with};
use crate::support::{DIMENSIONS, api, counts, stopping_at, unavailable};

fn run_of(report: &Value) -> &str {
    report["collections"][0]["run"].as_str().unwrap()
}

/// Items of which the first ones have no text: the provider is asked only when they are stored.
fn late_texts() -> Vec<Item> {
    let mut all = items(300, DIMENSIONS);
    for item in &mut all[..200] {
        item.text = None;
    }
    all
}

fn whole(place: &Place, backend: Backend, all: &[Item]) {
    let rows = held(place, backend, "faq");
    assert_eq!(rows.len(), all.len());
    for item in all {
        let bits: Vec<u32> = item.vector.iter().map(|one| one.to_bits()).collect();
        assert_eq!(rows[&item.id].bits, bits);
    }
    assert_eq!(place.json(&["validate"])["ok"], true);
}

fn a_killed_import_shows_nothing_and_is_taken_up_again(backend: Backend) {
    let server = stopping_at(0, unavailable());
    let place = backend.stub(&server.api);
    let all = late_texts();
    let args = save_items(&place, "old", &all);
    let mut command = place.command(&with(&args, &["--batch-size", "20"]));
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    server.wait();
    child.kill().unwrap();
    child.wait().unwrap();
    server.release();
    assert_eq!(stored_vectors(&place, backend), 200);
    assert_eq!(place.scalar("SELECT count(*) FROM embedding_records"), 0);
    assert_eq!(place.json(&["validate"])["ok"], true);

    let report = place.json(&with(&args, &["--offline"]));
    counts(&report, &[("imported", 300), ("source_total", 300)]);
    assert_eq!(report["collections"][0]["resumed"], true);
    assert_eq!(stored_vectors(&place, backend), 300);
    whole(&place, backend, &all);
}

fn a_signal_ends_an_import_cleanly(backend: Backend) {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let paid = api();
        let mut place = backend.stub(&paid);
        let known = computed(&place, backend);
        let server = stopping_at(0, Reply::Vectors);
        place.use_stub(&server.api);
        let mut all = late_texts();
        all.splice(200..212, known);
        let args = save_items(&place, "old", &all);
        let mut command = place.command(&with(&args, &["--batch-size", "20"]));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        server.wait();
        kill_process(Pid::from_child(&child), signal).unwrap();
        server.release();
        let output = child.wait_with_output().unwrap();
        let run = Outcome::new("the interrupted import", output);
        let run = run.expect(code).prints_nothing();
        assert!(
            run.error().contains("same command again"),
            "{}",
            run.error()
        );
        assert!(held(&place, backend, "faq").is_empty());
        place.json(&with(&args, &["--offline"]));
        whole(&place, backend, &all);
    }
}

fn a_rollback_leaves_what_was_there_before(backend: Backend) {
    let api = api();
    let place = backend.stub(&api);
    place.save("faq.csv", &Faq::with_ids(6));
    place.migrate("faq.csv", &["--embed-text", "{answer}"]);
    let before = held(&place, backend, "faq");
    let answers = place.search(&["заблокировать", "-k", "6"]);

    let mut all = items(8, DIMENSIONS);
    let taken: Vec<&String> = before.keys().collect();
    all[1].id.clone_from(taken[0]);
    all[3].id.clone_from(taken[2]);
    let args = save_items(&place, "old", &all);
    let report = place.json(&with(&args, &["--offline", "--force"]));
    counts(&report, &[("imported", 8), ("replaced", 2)]);
    let run = run_of(&report).to_owned();
    let imported = held(&place, backend, "faq");
    // Cleaning up in between takes nothing away that may have to come back.
    place.run(&["cache", "prune", "--older-than", "0s"]).ok();

    let data = held(&place, backend, "faq");
    let plan = place.json(&["import", "rollback", &run, "--dry-run"]);
    counts(&plan, &[("removed", 6), ("restored", 2)]);
    assert_eq!(held(&place, backend, "faq"), data);

    let report = place.json(&["import", "rollback", &run]);
    counts(&report, &[("removed", 6), ("restored", 2)]);
    assert_eq!(report["left"], serde_json::json!([]));
    assert_eq!(held(&place, backend, "faq"), before);
    assert_eq!(place.search(&["заблокировать", "-k", "6"]), answers);
    assert_eq!(place.json(&["validate"])["ok"], true);

    // The next sync has nothing to do, the next import everything, and no vector is asked for again.
    counts(
        &place.migrate("faq.csv", &[]),
        &[("unchanged", 6), ("embedded", 0)],
    );
    let again = place.json(&with(&args, &["--offline", "--force"]));
    counts(&again, &[("imported", 8), ("requests", 0)]);
    let now = held(&place, backend, "faq");
    assert!(now.iter().all(|(id, row)| row.bits == imported[id].bits));
}

fn what_others_wrote_since_is_left_and_named(backend: Backend) {
    let place = backend.place();
    let all = items(6, DIMENSIONS);
    let args = save_items(&place, "old", &all);
    let first = place.json(&with(&args, &[]));
    let between = held(&place, backend, "faq");
    let mut changed = all.clone();
    changed[2].vector[0] += 1.0;
    let args = save_items(&place, "old", &changed);
    let second = place.json(&with(&args, &[]));
    counts(&second, &[("imported", 1), ("replaced", 1), ("skipped", 5)]);

    // Out of order: what the second import wrote is not the first one's any longer.
    let plan = ["import", "rollback", run_of(&first), "--dry-run", "--json"];
    let report = place.run(&plan).expect(3).json();
    counts(&report, &[("removed", 5), ("restored", 0)]);
    assert_eq!(report["left"], serde_json::json!([changed[2].id]));
    // In order: both are undone, one after the other.
    let report = place.json(&["import", "rollback", run_of(&second)]);
    counts(&report, &[("removed", 0), ("restored", 1)]);
    assert_eq!(held(&place, backend, "faq"), between);
    let report = place.json(&["import", "rollback", run_of(&first)]);
    counts(&report, &[("removed", 6), ("restored", 0)]);
    assert!(held(&place, backend, "faq").is_empty());
    assert_eq!(place.json(&["validate"])["ok"], true);

    let run = place.run(&["import", "rollback", "no-such-run"]);
    assert_ne!(run.code, 0);
    assert!(run.error().contains(run_of(&second)), "{}", run.error());
}

on_every_store! {
    a_killed_import_shows_nothing_and_is_taken_up_again,
    a_signal_ends_an_import_cleanly,
    a_rollback_leaves_what_was_there_before,
    what_others_wrote_since_is_left_and_named,
}
