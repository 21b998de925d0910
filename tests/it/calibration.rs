//! From which score on a hit is an answer.

use integration_tests::{Backend, Faq, Place, on_every_store};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::api;

/// Twenty questions that entries answer, in the entries' words, and some that none does.
fn golden(unanswerable: &[&str]) -> String {
    let faq = Faq::with_ids(20);
    let with = faq
        .0
        .iter()
        .map(|entry| json!({"query": entry.question, "gold": [entry.id.as_ref().unwrap()]}));
    let without = unanswerable
        .iter()
        .map(|query| json!({"query": query, "gold": []}));
    with.chain(without)
        .map(|line| format!("{line}\n"))
        .collect()
}

const NONSENSE: [&str; 12] = [
    "weather in Minsk",
    "best pizza nearby",
    "who won the match",
    "zoo opening hours",
    "buy a bicycle",
    "fix my sink",
    "hotel by the sea",
    "learn Spanish",
    "plumber wanted",
    "cinema tonight",
    "dog food",
    "yoga class",
];

fn filled(backend: Backend) -> Place {
    let place = backend.hash();
    place.save("faq.csv", &Faq::with_ids(20));
    place.migrate("faq.csv", &[]);
    place
}

fn calibrated(backend: Backend) -> (Place, f64) {
    let place = filled(backend);
    place.write("golden.jsonl", golden(&NONSENSE));
    let report = place.json(&["eval", "golden.jsonl", "--calibrate"]);
    let threshold = report["calibration"]["threshold"].as_f64().unwrap();
    (place, threshold)
}

fn found(place: &Place, more: &[&str]) -> Value {
    let args: Vec<&str> = ["search", NONSENSE[0]]
        .iter()
        .chain(more)
        .copied()
        .collect();
    place.json(&args)
}

fn search_answers_from_the_calibrated_score_on(backend: Backend) {
    let place = filled(backend);
    let run = place.run(&["search", NONSENSE[0]]).ok();
    run.says(&["not calibrated", "--calibrate"]);
    let before = found(&place, &[]);
    assert_eq!(
        (&before["threshold"], &before["calibrated"]),
        (&Value::Null, &json!(false))
    );
    assert_eq!(
        before["hits"].as_array().unwrap().len(),
        3,
        "unasked, nothing is hidden"
    );
    let run = place.run(&["search", NONSENSE[0], "-q"]).ok();
    assert_eq!(run.stderr, "");

    let (place, threshold) = calibrated(backend);
    let after = found(&place, &[]);
    assert_eq!(after["hits"], json!([]));
    assert_eq!(after["calibrated"], true);
    assert!((after["threshold"].as_f64().unwrap() - threshold).abs() < 1e-9);
    let run = place.run(&["search", NONSENSE[0]]).ok();
    assert!(!run.stderr.contains("not calibrated"), "{}", run.stderr);
    run.prints(&["calibrated", "--threshold"]);
    assert_eq!(
        place.search(&[&Faq::with_ids(20).0[7].question, "-k", "1"]),
        ["t7"]
    );

    // Whoever says a threshold gets that one: by flag, and by setting.
    let all = found(&place, &["--threshold", "-1"]);
    assert_eq!(
        (all["hits"].as_array().unwrap().len(), &all["calibrated"]),
        (3, &json!(false))
    );
    let mut place = place;
    place.set("PGVECTOR_SIMILARITY_THRESHOLD", "-1");
    assert_eq!(found(&place, &[])["hits"].as_array().unwrap().len(), 3);
}

#[test]
fn a_calibration_says_what_it_does_and_how_sure_that_is() {
    let (place, threshold) = calibrated(Backend::Sqlite);
    let calibration = place.json(&["model", "list"])["versions"][0]["calibration"].clone();
    assert!((calibration["threshold"].as_f64().unwrap() - threshold).abs() < 1e-9);
    assert_eq!(calibration["unanswerable"], 12);
    assert_eq!(calibration["answerable"], 20);
    assert_eq!(calibration["false_answers"], 0);
    assert_eq!(calibration["golden"], "golden.jsonl");
    assert!(calibration["auroc"].as_f64().unwrap() > 0.95);
    // None of twelve: 1 − 0.05^(1/12).
    let most = calibration["false_answers_at_most"].as_f64().unwrap();
    assert!((most - 0.2209).abs() < 1e-3, "{most}");
    let args = ["eval", "golden.jsonl", "--calibrate"];
    place.run(&args).ok().prints(&[
        "Threshold: ",
        "0 of 12",
        "at most 22.1 %",
        "To show 2.0 %, 149",
    ]);
    // More false answers for more answers.
    let args = [
        "eval",
        "golden.jsonl",
        "--calibrate",
        "--max-false-answers",
        "25%",
    ];
    let loose = &place.json(&args)["calibration"];
    assert_eq!(loose["false_answers"], 3);
    assert!(loose["threshold"].as_f64().unwrap() < threshold);
}

fn a_calibration_belongs_to_its_version(backend: Backend) {
    let (place, _) = calibrated(backend);
    let built = place.json(&["model", "build", "--embed-text", "{question}"])["version"].clone();
    let built = built.as_str().unwrap();
    place.json(&["model", "promote", built]);
    assert_eq!(found(&place, &[])["calibrated"], false);
    place.json(&["model", "rollback"]);
    assert_eq!(found(&place, &[])["calibrated"], true);
    // Beside the one that is served, before anybody is answered by it.
    place.json(&["eval", "golden.jsonl", "--calibrate", "--candidate", built]);
    place.json(&["model", "promote", built]);
    assert_eq!(found(&place, &[])["calibrated"], true);
}

#[test]
fn what_cannot_calibrate_is_refused_before_anybody_is_asked() {
    let api = api();
    let place = Place::stub(&api);
    place.save("faq.csv", &Faq::with_ids(20));
    place.migrate("faq.csv", &[]);
    let before = api.requests();
    for (golden, says) in [
        (
            golden(&[]),
            &["no question lacks an answer", "at least 10", "149"][..],
        ),
        (
            golden(&NONSENSE[..9]),
            &["only 9 questions lack an answer", "149"],
        ),
        (
            golden(&NONSENSE)
                .lines()
                .skip(11)
                .map(|line| format!("{line}\n"))
                .collect(),
            &["only 9 questions have"],
        ),
    ] {
        place.write("golden.jsonl", golden);
        let run = place.run(&["eval", "golden.jsonl", "--calibrate"]);
        run.expect(2)
            .prints_nothing()
            .says(says)
            .says(&["golden.jsonl"]);
    }
    place.write("golden.jsonl", golden(&NONSENSE));
    for share in ["2", "-1%", "120%", "nan", "few"] {
        let flag = format!("--max-false-answers={share}");
        let run = place.run(&["eval", "golden.jsonl", "--calibrate", &flag]);
        run.expect(2).prints_nothing().says(&["from 0% to 100%"]);
    }
    let run = place.run(&["eval", "golden.jsonl", "--max-false-answers", "2%"]);
    run.expect(2).prints_nothing().says(&["--calibrate"]);
    assert_eq!(api.requests(), before);
}

fn scores_that_do_not_separate_leave_the_threshold_alone(backend: Backend) {
    let (place, _) = calibrated(backend);
    let before = place.json(&["model", "list"])["versions"][0]["calibration"].clone();
    // The questions without an answer are in the entries' very words, those with one are nonsense.
    let faq = Faq::with_ids(20);
    let without = faq
        .0
        .iter()
        .map(|entry| json!({"query": entry.text(), "gold": []}));
    let with = NONSENSE
        .iter()
        .map(|query| json!({"query": query, "gold": ["t0"]}));
    let lines: String = with
        .chain(without)
        .map(|line| format!("{line}\n"))
        .collect();
    place.write("upside-down.jsonl", lines);
    let run = place
        .run(&["eval", "upside-down.jsonl", "--calibrate", "--json"])
        .expect(5);
    assert_eq!(run.json()["calibration"], Value::Null);
    run.says(&[
        "silence every answer",
        "AUROC 0.000",
        "nothing was changed",
        "model build",
    ]);
    assert_eq!(
        place.json(&["model", "list"])["versions"][0]["calibration"],
        before
    );
}

#[test]
fn a_threshold_that_cannot_be_kept_is_a_failure() {
    let place = filled(Backend::Sqlite);
    place.write("golden.jsonl", golden(&NONSENSE));
    let held = Connection::open(place.store()).unwrap();
    held.execute_batch("BEGIN IMMEDIATE").unwrap();
    let run = place.run(&[
        "eval",
        "golden.jsonl",
        "--calibrate",
        "--json",
        "--wait",
        "0s",
    ]);
    let run = run.expect(75);
    assert!(
        run.json()["calibration"]["threshold"].is_number(),
        "what was paid for is shown"
    );
}

#[test]
fn a_damaged_calibration_is_named_and_not_used() {
    let (place, _) = calibrated(Backend::Sqlite);
    for damaged in ["{", r#"{"schema":1,"threshold":7}"#, r#"{"schema":2}"#] {
        let store = Connection::open(place.store()).unwrap();
        store
            .execute("UPDATE collection_versions SET calibration = ?1", [damaged])
            .unwrap();
        drop(store);
        let run = place.run(&["search", NONSENSE[0], "--json"]).ok();
        assert_eq!(run.json()["calibrated"], false);
        run.says(&["calibration of version", "--calibrate"]);
    }
    place.json(&["eval", "golden.jsonl", "--calibrate"]);
    assert_eq!(found(&place, &[])["calibrated"], true);
}

on_every_store! {
    search_answers_from_the_calibrated_score_on,
    a_calibration_belongs_to_its_version,
    scores_that_do_not_separate_leave_the_threshold_alone,
}
