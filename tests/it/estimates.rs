//! What a dry run says a run will take, against what the run then takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use integration_tests::{Entry, Faq, Place, StubApi};
use serde_json::Value;

use crate::support::{DIMENSIONS, api, counts};

const MIGRATE: [&str; 3] = ["migrate", "--faq-path", "faq.csv"];

fn dry(place: &Place, more: &[&str]) -> Value {
    place.json(&[&MIGRATE[..], &["--dry-run"], more].concat())["estimate"].clone()
}

#[test]
fn what_is_estimated_is_what_is_billed() {
    let api = api();
    // A provider that bills as the estimate supposes: what remains is to count the same texts.
    api.bill(|text| text.len().div_ceil(4) as u64);
    let mut place = Place::stub(&api);
    place.set("EMBEDDING_PRICE", "0.13");
    place.set("EMBEDDING_PASSAGE_PREFIX", "passage: ");
    let faq = Faq::with_ids(95);
    place.save("faq.csv", &faq);
    let agrees = |estimate: &Value, report: &Value| {
        assert_eq!(estimate["texts"], report["embedded"]);
        assert_eq!(estimate["requests"], report["requests"]);
        assert_eq!(estimate["tokens"], report["tokens"]);
        assert_eq!(estimate["tokens_by"], "estimate");
        let (said, paid) = (
            estimate["cost"].as_f64().unwrap(),
            report["cost"].as_f64().unwrap(),
        );
        assert!((said - paid).abs() < 1e-9, "{said} was said, {paid} paid");
    };
    let estimate = dry(&place, &[]);
    let report = place.migrate("faq.csv", &[]);
    counts(&report, &[("embedded", 95), ("requests", 10)]);
    agrees(&estimate, &report);

    let edited = faq.edited(|entries| {
        entries[3].answer.push_str(" Это бесплатно.");
        // A text that is there twice is sent once.
        let id = entries[8].id.take();
        entries[8] = Entry {
            id,
            ..entries[9].clone()
        };
        entries.remove(50);
    });
    place.save("faq.csv", &edited);
    let estimate = dry(&place, &[]);
    let report = place.migrate("faq.csv", &[]);
    counts(&report, &[("embedded", 1)]);
    agrees(&estimate, &report);
}

#[test]
fn requests_are_cut_by_bytes_as_well_as_by_texts() {
    let api = api();
    let place = Place::stub(&api);
    // Ten texts are a call, but eight of these fill one.
    let faq = Faq::with_ids(30).edited(|entries| {
        for (number, entry) in entries.iter_mut().enumerate() {
            entry.answer = format!("{number} ").repeat(15_000)[..30_000].to_owned();
        }
    });
    place.save("faq.jsonl", &faq);
    let args = ["migrate", "--faq-path", "faq.jsonl"];
    let shown = place.json(&[&args[..], &["--dry-run"]].concat());
    let report = place.json(&args);
    counts(&report, &[("embedded", 30), ("requests", 4)]);
    counts(&shown["estimate"], &[("texts", 30), ("requests", 4)]);
}

#[test]
fn seconds_are_unknown_until_a_run_has_shown_them() {
    // Each call takes a moment, so the first run has a pace.
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let api = StubApi::scripted(
        DIMENSIONS,
        std::time::Duration::from_millis(20),
        move |_, _| {
            counted.fetch_add(1, Ordering::SeqCst);
            integration_tests::Reply::Vectors
        },
    );
    let mut place = Place::stub(&api);
    let faq = Faq::with_ids(40);
    place.save("faq.csv", &faq);
    let estimate = dry(&place, &[]);
    assert_eq!(
        (&estimate["seconds"], &estimate["pace"]),
        (&Value::Null, &Value::Null)
    );
    let text = place.run(&[&MIGRATE[..], &["-n"]].concat()).ok().stdout;
    assert!(text.contains("Time: unknown"), "{text}");

    place.migrate("faq.csv", &[]);
    assert_eq!(calls.load(Ordering::SeqCst), 4);
    let nothing = dry(&place, &[]);
    assert_eq!(nothing["seconds"], 0.0);
    let all = dry(&place, &["--force-recompute"]);
    counts(&all, &[("texts", 40), ("requests", 4)]);
    counts(&all["pace"], &[("texts", 40), ("requests", 4)]);
    // The same work at the same pace takes the same time.
    assert_eq!(all["seconds"], all["pace"]["seconds"]);
    let text = place
        .run(&[&MIGRATE[..], &["-n", "--force-recompute"]].concat())
        .ok()
        .stdout;
    assert!(
        text.contains("Time: about") && text.contains("(40 texts in"),
        "{text}"
    );

    // A small run does not take the place of a large one, and another model has no pace.
    place.save(
        "faq.csv",
        &faq.edited(|entries| entries[1].answer.push('!')),
    );
    place.migrate("faq.csv", &[]);
    counts(
        &dry(&place, &["--force-recompute"])["pace"],
        &[("texts", 40)],
    );
    place.set("EMBEDDING_MODEL_NAME", "another-model");
    assert_eq!(dry(&place, &["--force-recompute"])["seconds"], Value::Null);
}

#[test]
fn prices_are_per_model_and_what_runs_in_process_is_free() {
    let api = api();
    let mut place = Place::stub(&api);
    place.save("faq.csv", &Faq::with_ids(20));
    let cost = |place: &Place| dry(place, &[])["cost"].clone();
    let tokens = dry(&place, &[])["tokens"].as_f64().unwrap();
    let at = |price: f64| Value::from(tokens * price / 1e6);
    assert_eq!(cost(&place), Value::Null);
    let text = place.run(&[&MIGRATE[..], &["-n"]].concat()).ok().stdout;
    assert!(text.contains("cost unknown"), "{text}");

    place.write(
        "smart-support.toml",
        "[embedding]\nprice = 7\n[prices]\n\"stub-model\" = 2\n\"org/other.model-3\" = 4.5\n",
    );
    // The model's own price is nearer than one for all, ...
    assert_eq!(cost(&place), at(2.0));
    place.set("EMBEDDING_MODEL_NAME", "org/other.model-3");
    assert_eq!(cost(&place), at(4.5));
    place.set("EMBEDDING_MODEL_NAME", "unlisted");
    assert_eq!(cost(&place), at(7.0));
    // ... and what is said for this run is nearer still.
    place.set("EMBEDDING_MODEL_NAME", "stub-model");
    place.set("EMBEDDING_PRICE", "1");
    assert_eq!(cost(&place), at(1.0));
    place.unset("EMBEDDING_PRICE");
    let _ = place
        .run(&[&MIGRATE[..], &["--max-cost", "0.0000001"]].concat())
        .expect(6);
    assert_eq!(api.requests(), 0);
    let shown = place.run(&["config", "show", "--origin"]).ok().stdout;
    assert!(shown.contains("prices.\"stub-model\" = 2  ["), "{shown}");

    place.set("EMBEDDING_PROVIDER", "hash");
    place.unset("EMBEDDING_MODEL_NAME");
    assert_eq!(cost(&place), 0.0);

    place.set("EMBEDDING_PROVIDER", "openai");
    place.set("EMBEDDING_MODEL_NAME", "stub-model");
    place.write(
        "smart-support.toml",
        "[prices]\n\"stub-model\" = \"cheap\"\n",
    );
    let run = place.run(&[&MIGRATE[..], &["-n"]].concat()).expect(2);
    let _ = run.says(&["prices.\"stub-model\"", "cheap", "an amount in USD"]);
}

#[test]
fn a_look_at_the_provider_that_is_due_is_counted() {
    let api = api();
    api.bill(|text| text.len().div_ceil(4) as u64);
    let place = Place::stub(&api);
    let faq = Faq::with_ids(20);
    place.save("faq.csv", &faq);
    place.migrate("faq.csv", &[]);
    {
        // Nobody looked for two days.
        let store = rusqlite::Connection::open(place.store()).unwrap();
        let set =
            "UPDATE embedding_spaces SET canaries_checked_at = canaries_checked_at - 172800000";
        assert_eq!(store.execute(set, ()).unwrap(), 1);
    }
    place.save(
        "faq.csv",
        &faq.edited(|entries| entries[1].answer.push('!')),
    );
    let estimate = dry(&place, &[]);
    let report = place.migrate("faq.csv", &[]);
    counts(&report, &[("embedded", 1), ("requests", 2)]);
    assert_eq!(estimate["requests"], 2);
    assert_eq!(estimate["tokens"], report["tokens"]);
}
