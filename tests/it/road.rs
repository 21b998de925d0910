//! The main road: migrate, migrate again, ask, check, look.

use insta::assert_snapshot;
use integration_tests::{Backend, Faq, Place, TEMPLATES, fixture_path, on_every_store};
use serde_json::Value;

use crate::support::{api, counts};

const REPORT_KEYS: [&str; 20] = [
    "mode",
    "collection",
    "total",
    "new",
    "modified",
    "relabelled",
    "deleted",
    "unchanged",
    "failed",
    "embedded",
    "requests",
    "reused",
    "generation",
    "model",
    "seconds",
    "bytes",
    "store",
    "coverage",
    "validation",
    "schema",
];

pub(crate) const CHECKS: [&str; 10] = [
    "connection",
    "schema_version",
    "embedding_version",
    "templates",
    "categories",
    "content_hashes",
    "vector_hashes",
    "orphans",
    "foreign_keys",
    "generation",
];

fn keys(object: &Value, expected: &[&str]) {
    for key in expected {
        assert!(object.get(key).is_some(), "no key {key} in {object:#}");
    }
}

fn names(checks: &Value) -> Vec<&str> {
    let checks = checks.as_array().unwrap().iter();
    checks
        .map(|check| check["name"].as_str().unwrap())
        .collect()
}

/// From an empty directory to answers, with whatever embedder the place has.
fn walk(place: &Place) -> Value {
    let workbook = fixture_path();
    let workbook = workbook.to_str().unwrap();
    let templates = TEMPLATES as u64;

    let first = place.migrate(workbook, &[]);
    keys(&first, &REPORT_KEYS);
    keys(
        &first["seconds"],
        &["total", "read", "embed", "store", "verify"],
    );
    keys(&first["model"], &["provider", "name", "dimensions"]);
    counts(
        &first,
        &[
            ("schema", 1),
            ("total", templates),
            ("new", templates),
            ("modified", 0),
            ("relabelled", 0),
            ("deleted", 0),
            ("unchanged", 0),
            ("embedded", templates),
            ("reused", 0),
            ("generation", 1),
        ],
    );
    assert_eq!(first["mode"], "initial");
    assert_eq!(first["collection"], "faq");
    assert_eq!(first["coverage"], 1.0);
    assert_eq!(first["failed"], serde_json::json!([]));
    assert_eq!(first["validation"]["ok"], true);
    assert_eq!(names(&first["validation"]["checks"]), CHECKS);
    assert!(first["bytes"].as_u64().unwrap() > 0);

    let before = place.data();
    let second = place.migrate(workbook, &[]);
    counts(
        &second,
        &[
            ("total", templates),
            ("new", 0),
            ("unchanged", templates),
            ("embedded", 0),
            ("requests", 0),
            ("generation", 1),
        ],
    );
    assert_eq!(second["mode"], "incremental");
    assert!(
        place.data() == before,
        "a run with nothing to do wrote to the store"
    );
    assert_eq!(
        place.scalar("SELECT count(*) FROM embedding_records"),
        TEMPLATES as i64
    );

    let status = place.json(&["status"]);
    keys(
        &status,
        &[
            "store",
            "backend",
            "schema_version",
            "generation",
            "model",
            "collections",
            "bytes",
            "degraded",
        ],
    );
    keys(&status["bytes"], &["file", "vectors", "text", "cache"]);
    let collection = &status["collections"][0];
    assert_eq!(collection["name"], "faq");
    counts(
        collection,
        &[
            ("records", templates),
            ("categories", 6),
            ("documents", templates),
            ("missing", 0),
        ],
    );
    assert_eq!(status["degraded"], Value::Null);

    let validation = place.json(&["validate", "--faq-path", workbook]);
    assert_eq!(validation["ok"], true);
    assert_eq!(
        names(&validation["checks"]),
        [&CHECKS[..], &["source"]].concat()
    );
    for check in validation["checks"].as_array().unwrap() {
        keys(check, &["name", "ok", "detail", "found", "expected"]);
    }
    first
}

fn a_fresh_checkout_is_migrated_and_answers(backend: Backend) {
    let place = backend.hash();
    let report = walk(&place);
    assert_eq!(report["model"]["provider"], "hash");

    let answer = place.json(&["search", "Как временно заблокировать карту?"]);
    keys(&answer, &["hits", "generation", "model", "mode", "ms"]);
    keys(&answer["ms"], &["embed", "search", "total"]);
    let hits = answer["hits"].as_array().unwrap();
    assert_eq!(hits.len(), 3, "the default of --top-k");
    let best = &hits[0];
    keys(
        best,
        &[
            "rank",
            "id",
            "score",
            "question",
            "answer",
            "category",
            "subcategory",
            "document",
            "chunk",
            "source_row",
        ],
    );
    assert_eq!(best["rank"], 1);
    assert_eq!(best["question"], "Как временно заблокировать карту?");
    assert_eq!(best["category"], "Карты");
}

fn an_api_is_asked_once_per_batch_and_never_again(backend: Backend) {
    let api = api();
    let place = backend.stub(&api);
    let report = walk(&place);
    counts(&report, &[("requests", 21)]);
    assert_eq!(report["model"]["provider"], "openai");
    assert_eq!(report["model"]["name"], "stub-model");
    assert_eq!(report["model"]["dimensions"], 64);
    assert_eq!(api.requests(), 21);

    let stored = place.rows("faq");
    let row = stored.values().next().unwrap();
    let question = format!("{}\n{}", row.question, row.answer);
    // The stub's vectors depend on the text alone, so only the very text that was embedded finds its row for sure.
    let answer = place.json(&["search", &question, "-k", "1"]);
    assert_eq!(answer["hits"][0]["question"], row.question.as_str());
    assert!(answer["hits"][0]["score"].as_f64().unwrap() > 0.999);
}

#[test]
fn ollama_is_spoken_to_in_its_own_words() {
    let api = api();
    let mut place = Place::new();
    place.set("EMBEDDING_PROVIDER", "ollama");
    place.set("EMBEDDING_BASE_URL", api.url());
    place.save("faq.csv", &Faq::of(12));
    let report = place.migrate("faq.csv", &[]);
    counts(&report, &[("embedded", 12)]);
    assert_eq!(report["model"]["provider"], "ollama");
    assert!(
        api.ledger()
            .iter()
            .all(|request| request.path == "/api/embed")
    );
}

fn formats_of_one_faq_give_one_store(backend: Backend) {
    let texts = ["faq.xlsx", "faq.csv", "faq.jsonl"].map(|name| {
        let place = backend.hash();
        place.save(name, &Faq::with_ids(20));
        place.migrate(name, &[]);
        let rows = place.rows("faq").into_iter();
        rows.map(|(id, row)| (id, row.question, row.answer, row.category, row.vector))
            .collect::<Vec<_>>()
    });
    assert_eq!(texts[0].len(), 20);
    assert_eq!(texts[0], texts[1]);
    assert_eq!(texts[0], texts[2]);
}

fn parts_of_a_migration_can_be_run_alone(backend: Backend) {
    let place = backend.hash();
    place.save("faq.csv", &Faq::of(10));
    place.run(&["migrate", "--migrate-schema"]).ok();
    assert_eq!(place.scalar("SELECT count(*) FROM embedding_records"), 0);

    let report = place.migrate("faq.csv", &["--no-verify", "--metadata-dir", "reports"]);
    assert_eq!(report["validation"], Value::Null);
    let written = std::fs::read(place.path("reports/smart-support-report.json")).unwrap();
    let written: Value = serde_json::from_slice(&written).unwrap();
    assert_eq!(written["new"], 10);

    let before = place.data();
    for command in [&["migrate", "--validate"][..], &["validate"], &["verify"]] {
        assert_eq!(place.json(command)["ok"], true);
    }
    assert!(place.data() == before);
}

fn one_row_can_be_synced_alone(backend: Backend) {
    let place = backend.hash();
    let faq = Faq::with_ids(10);
    place.save("faq.csv", &faq);
    place.migrate("faq.csv", &[]);
    let edited = faq.edited(|entries| {
        for entry in entries.iter_mut() {
            entry.answer.push_str(" И всё.");
        }
        entries.pop();
    });
    place.save("faq.csv", &edited);
    let report = place.json(&["sync", "--faq-path", "faq.csv", "--only", "t3"]);
    counts(
        &report,
        &[
            ("total", 1),
            ("modified", 1),
            ("deleted", 0),
            ("embedded", 1),
        ],
    );
    let report = place.json(&["sync", "--faq-path", "faq.csv", "--category", "Карты"]);
    counts(
        &report,
        &[
            ("total", 2),
            ("modified", 2),
            ("deleted", 0),
            ("embedded", 2),
        ],
    );
    assert_eq!(place.rows("faq").len(), 10);
}

#[test]
fn the_report_reads_like_this() {
    let place = Place::hash();
    place.save("faq.csv", &Faq::of(20));
    let run = place.run(&["migrate", "--faq-path", "faq.csv"]).ok();
    assert_snapshot!("migrate_stdout", place.stable(&run.stdout));
    assert_snapshot!("migrate_stderr", place.stable(&run.stderr));
    let run = place.run(&["validate", "--faq-path", "faq.csv"]).ok();
    assert_snapshot!("validate_stdout", place.stable(&run.stdout));
    let run = place
        .run(&["search", "Как оформить вклад?", "-k", "2"])
        .ok();
    assert_snapshot!("search_stdout", place.stable(&run.stdout));
}

on_every_store! {
    a_fresh_checkout_is_migrated_and_answers,
    an_api_is_asked_once_per_batch_and_never_again,
    formats_of_one_faq_give_one_store,
    parts_of_a_migration_can_be_run_alone,
    one_row_can_be_synced_alone,
}
