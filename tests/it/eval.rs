//! Accuracy on questions whose answers are known.

use std::time::Duration;

use integration_tests::{Backend, Faq, Place, Reply, StubApi, on_every_store};
use serde_json::json;

fn filled(backend: Backend) -> Place {
    let place = backend.hash();
    place.save("faq.csv", &Faq::with_ids(30));
    place.migrate("faq.csv", &[]);
    place
}

const JSONL: &str = r#"{"id": "1", "query": "Как оформить карту?", "gold": ["t0"], "lang": "ru", "category": "К"}
{"query": "оформить вклад", "gold": ["t1", "t16"], "lang": "ru"}
{"query": "оформить кредит", "gold": ["t29"], "lang": "ru"}
{"query": "Какая завтра погода?", "gold": [], "lang": "ru"}
"#;

const CSV: &str = "id,query,gold,lang,category\n1,Как оформить карту?,t0,ru,К\n,оформить вклад,t1|t16,ru,\n\
    ,оформить кредит,t29,ru,\n,Какая завтра погода?,,ru,\n";

fn both_formats_of_golden_questions_give_the_same_figures(backend: Backend) {
    let place = filled(backend);
    // Ids in a golden file are optional, so some rows have one and some have none.
    place.write("golden.jsonl", JSONL);
    place.write("golden.csv", CSV);
    let [jsonl, csv] = ["golden.jsonl", "golden.csv"].map(|name| place.json(&["eval", name]));
    assert_eq!(jsonl, csv);
    assert_eq!(jsonl["queries"], 3, "the unanswerable one is in no figure");
    let near = |key: &str, expected: f64| {
        let found = jsonl[key].as_f64().unwrap();
        assert!((found - expected).abs() < 1e-9, "{key} is {found}");
    };
    near("top1", 2.0 / 3.0);
    near("top3", 2.0 / 3.0);
    assert!(jsonl["mrr"].as_f64().unwrap() >= 2.0 / 3.0);
    assert!(jsonl["by_category"]["К"].is_object());
    assert_eq!(jsonl["flips"], json!([]));
    let misses = jsonl["misses"].as_array().unwrap();
    assert_eq!(misses.len(), 1);
    assert_eq!(misses[0]["query"], "оформить кредит");
    assert_eq!(misses[0]["expected"], json!(["t29"]));
    assert!(misses[0]["got"].as_array().unwrap().len() >= 3);
}

fn a_gate_closes_with_its_own_exit_code(backend: Backend) {
    let place = filled(backend);
    let golden = r#"{"query": "Как оформить карту?", "gold": ["t0"]}
{"query": "оформить кредит", "gold": ["t29"]}
"#;
    place.write("golden.jsonl", golden);
    place
        .run(&["eval", "golden.jsonl", "--min-top3", "50%"])
        .ok();
    let run = place
        .run(&["eval", "golden.jsonl", "--min-top3", "0.6", "--json"])
        .expect(5);
    assert_eq!(run.json()["queries"], 2);
    run.says(&["0.6"]);
    assert_eq!(
        place.json(&["status"])["generation"],
        1,
        "readers notice nothing"
    );
}

#[test]
fn a_question_that_cannot_be_asked_is_an_error_and_the_others_are_measured() {
    let api = StubApi::scripted(64, Duration::ZERO, |_, texts| {
        if texts.iter().any(|text| text.contains("кредит")) && texts.len() <= 4 {
            Reply::Status(
                400,
                Vec::new(),
                r#"{"error":{"message":"too rude"}}"#.to_owned(),
            )
        } else {
            Reply::Vectors
        }
    });
    let place = Backend::Sqlite.stub(&api);
    place.save("faq.csv", &Faq::with_ids(30));
    place.migrate("faq.csv", &["--batch-size", "10"]);
    let golden = format!(
        "{{\"query\": {0:?}, \"gold\": [\"t0\"]}}\n{{\"query\": {1:?}, \"gold\": [\"t1\"]}}\n\
         {{\"query\": \"кредит?\", \"gold\": [\"t2\"]}}\n{{\"query\": \"?\", \"gold\": []}}\n",
        Faq::with_ids(30).0[0].text(),
        Faq::with_ids(30).0[1].text()
    );
    place.write("golden.jsonl", golden);
    let run = place.run(&["eval", "golden.jsonl", "--json"]).ok();
    let report = run.json();
    assert_eq!(report["error_rate"], 0.25);
    assert_eq!(report["queries"], 3, "a failed search is a miss");
    assert!((report["top1"].as_f64().unwrap() - 2.0 / 3.0).abs() < 1e-9);
    // Equal texts have a cosine of one.
    assert!((report["mean_similarity"].as_f64().unwrap() - 1.0).abs() < 1e-5);
    run.says(&["A question cannot be asked", "too rude"]);
    let run = place.run(&["eval", "golden.jsonl"]).ok();
    run.prints(&["Mean similarity 1.000, error rate 25.0 %: 1 of 4 searches failed"]);
    // A provider that refuses everything is no error rate.
    place.write(
        "golden.jsonl",
        "{\"query\": \"кредит\", \"gold\": [\"t2\"]}\n",
    );
    place
        .run(&["eval", "golden.jsonl"])
        .expect(1)
        .says(&["too rude"]);
}

#[test]
fn a_gate_of_no_number_is_none() {
    let place = filled(Backend::Sqlite);
    place.write("golden.jsonl", JSONL);
    for least in ["nan", "2", "-0.1", "101%", "high"] {
        let flag = format!("--min-top3={least}");
        let run = place.run(&["eval", "golden.jsonl", &flag]);
        run.expect(2).prints_nothing().says(&["from 0% to 100%"]);
    }
}

#[test]
fn ids_that_the_collection_does_not_have_are_named() {
    let place = filled(Backend::Sqlite);
    let golden: String = (0..12)
        .map(|number| {
            format!(
                "{}\n",
                json!({"query": format!("вопрос {number}"), "gold": [format!("gone{number:02}")]})
            )
        })
        .collect();
    place.write("golden.jsonl", golden);
    let run = place.run(&["eval", "golden.jsonl", "--json"]).ok();
    assert_eq!(run.json()["unknown_ids"].as_array().unwrap().len(), 12);
    run.says(&["golden.jsonl", "12 ids", "gone00", "gone09 and 2 more"]);
}

fn questions_are_asked_in_batches(backend: Backend) {
    let api = crate::support::api();
    let place = backend.stub(&api);
    place.save("faq.csv", &Faq::with_ids(30));
    place.migrate("faq.csv", &[]);
    let before = api.requests();
    let golden: String = (0..25)
        .map(|number| {
            format!(
                "{}\n",
                json!({"query": format!("вопрос {number}"), "gold": ["t0"]})
            )
        })
        .collect();
    place.write("golden.jsonl", golden);
    let report = place.json(&["eval", "golden.jsonl", "--batch-size", "10"]);
    assert_eq!(report["queries"], 25);
    assert_eq!(api.requests() - before, 3);
}

#[test]
fn a_golden_file_that_is_none_is_explained() {
    let place = filled(Backend::Sqlite);
    place.write("empty.jsonl", "");
    place.write("other.csv", "a,b\n1,2\n");
    for (name, says) in [
        ("empty.jsonl", "empty"),
        ("other.csv", "query"),
        ("nowhere.csv", "nowhere.csv"),
    ] {
        let run = place.run(&["eval", name]).expect(2).prints_nothing();
        run.says(&[name, says]);
    }
    place.write("golden.jsonl", JSONL);
    let run = place
        .run(&["eval", "golden.jsonl", "--collection", "other"])
        .expect(2);
    run.says(&["other", "smart-support migrate"]);
}

on_every_store! {
    both_formats_of_golden_questions_give_the_same_figures,
    a_gate_closes_with_its_own_exit_code,
    questions_are_asked_in_batches,
}
