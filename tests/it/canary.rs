//! Texts that the provider embedded before tell when it serves another model under the same name.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use integration_tests::{Backend, Faq, Reply, StubApi, on_every_store};
use serde_json::{Value, json};

use crate::support::{DIMENSIONS, counts};

/// Vectors of the right length that belong to another model.
fn strange(texts: usize) -> Reply {
    let data: Vec<Value> = (0..texts)
        .map(|index| {
            let numbers: Vec<f64> = (0..DIMENSIONS)
                .map(|at| ((at * 7 + index * 3) % 11) as f64 - 5.5)
                .collect();
            json!({ "index": index, "embedding": numbers })
        })
        .collect();
    Reply::Body(json!({ "data": data, "usage": { "total_tokens": texts } }).to_string())
}

fn another_model_behind_the_same_name_is_noticed(backend: Backend) {
    let changed = Arc::new(AtomicBool::new(false));
    let known = Arc::clone(&changed);
    let api = StubApi::scripted(DIMENSIONS, Duration::ZERO, move |_, texts| {
        if known.load(Ordering::SeqCst) {
            strange(texts.len())
        } else {
            Reply::Vectors
        }
    });
    let place = backend.stub(&api);
    let faq = Faq::with_ids(20);
    place.save("faq.csv", &faq);
    place.migrate("faq.csv", &[]);
    let spent = api.requests();
    let report = place.json(&["validate", "--canary"]);
    let canary = report["checks"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(
        (&canary["name"], &canary["ok"]),
        (&json!("canary"), &json!(true))
    );
    assert_eq!(api.requests(), spent + 1, "one call");

    changed.store(true, Ordering::SeqCst);
    let run = place.run(&["validate", "--canary"]).expect(6);
    run.says(&[]);
    let before = place.rows("faq");
    // Within a day nobody looks again; a day later the sync does, before it writes.
    let day_ago =
        "UPDATE embedding_spaces SET canaries_checked_at = canaries_checked_at - 86400001";
    place.execute(day_ago);
    let edited = faq.edited(|entries| {
        for entry in &mut entries[..2] {
            entry.answer.push_str(" Это бесплатно.");
        }
    });
    place.save("faq.csv", &edited);
    let vectors = place.scalar("SELECT count(*) FROM embedding_vectors");
    let run = place
        .run(&["sync", "--faq-path", "faq.csv"])
        .expect(6)
        .prints_nothing();
    run.says(&[
        "another model under the name stub-model",
        "nothing was written",
    ]);
    assert_eq!(place.rows("faq"), before);
    assert_eq!(
        place.scalar("SELECT count(*) FROM embedding_vectors"),
        vectors
    );
    changed.store(false, Ordering::SeqCst);
    counts(
        &place.json(&["sync", "--faq-path", "faq.csv"]),
        &[("modified", 2), ("embedded", 2), ("requests", 2)],
    );
    billed_twice_only_canaries(&api);
}

/// The only texts that were sent more than once are those the provider is recognised by.
#[track_caller]
fn billed_twice_only_canaries(api: &StubApi) {
    let mut billed = api.billed();
    billed.sort_unstable();
    let mut twice: Vec<String> = billed
        .windows(2)
        .filter(|pair| pair[0] == pair[1])
        .map(|pair| pair[0].clone())
        .collect();
    twice.dedup();
    assert!(twice.len() <= 5, "{twice:?}");
}

on_every_store! {
    another_model_behind_the_same_name_is_noticed,
}
