//! `/predict`: an answer in the words of what is stored, in the shape that its clients know.

use integration_tests::{Backend, Place, Service, on_every_store};
use serde_json::{Value, json};

fn place(backend: Backend) -> Place {
    let place = backend.hash();
    let lines = [
        json!({"id": "a", "question": "Как открыть вклад?", "answer": "В приложении."}),
        json!({"id": "b", "question": "Где банкомат?", "answer": "На карте."}),
    ];
    let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
    place.write("faq.jsonl", lines);
    place.migrate("faq.jsonl", &[]);
    place
}

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    keys.sort_unstable();
    keys
}

fn a_faq_answers_with_its_template(backend: Backend) {
    let place = place(backend);
    let service = Service::start(&place, &["--confidence", "0.5"]);
    let answered = service
        .post(
            "/predict",
            &json!({"query": "Как открыть вклад? В приложении."}),
        )
        .expect(200)
        .json();
    assert_eq!(
        keys(&answered),
        ["latency_ms", "model_version", "prediction"]
    );
    assert!(answered["latency_ms"].is_u64());
    let version = answered["model_version"].as_str().unwrap();
    assert!(version.starts_with("faq-"), "{version}");
    let prediction = &answered["prediction"];
    assert_eq!(
        keys(prediction),
        ["answer", "citations", "confidence", "failure_mode"]
    );
    assert_eq!(prediction["answer"], "В приложении.");
    assert_eq!(prediction["failure_mode"], Value::Null);
    let confidence = prediction["confidence"].as_f64().unwrap();
    assert!((0.5..=1.0).contains(&confidence), "{confidence}");
    let first = &prediction["citations"][0];
    assert_eq!(keys(first), ["page_or_row", "snippet", "source"]);
    assert_eq!(first["source"], "faq.jsonl");
    assert_eq!(first["snippet"], "В приложении.");
    assert_eq!(first["page_or_row"], 0, "rows of data are counted from 0");
    service.stop();
}

fn doubt_and_silence_have_names(backend: Backend) {
    let place = place(backend);
    let service = Service::start(&place, &["--confidence", "1"]);
    let doubtful = service
        .post("/predict", &json!({"query": "совсем о другом"}))
        .expect(200)
        .json();
    let prediction = &doubtful["prediction"];
    assert_eq!(prediction["failure_mode"], "low_confidence");
    assert_eq!(prediction["answer"], "");
    assert!(!prediction["citations"].as_array().unwrap().is_empty());
    // Nothing is left to be found.
    for id in ["a", "b"] {
        let deleted = service.ask("DELETE", &format!("/vectors/document/{id}"), &[], None);
        assert!(deleted.status < 300, "{}", deleted.text());
    }
    service.wait_until("empty", |ready| {
        ready.status == 200 && ready.json()["rows"] == 0
    });
    let silent = service
        .post("/predict", &json!({"query": "Как открыть вклад?"}))
        .expect(200)
        .json();
    let prediction = &silent["prediction"];
    assert_eq!(prediction["failure_mode"], "no_match");
    assert_eq!(
        (
            &prediction["answer"],
            &prediction["citations"],
            &prediction["confidence"]
        ),
        (&json!(""), &json!([]), &json!(0.0))
    );
    service.stop();
}

fn the_variables_of_the_seed_are_understood(backend: Backend) {
    let mut place = place(backend);
    place.set("RAG_TOP_K", "1");
    place.set("CONF_THRESHOLD", "0.99");
    let service = Service::start(&place, &[]);
    let answered = service
        .post("/predict", &json!({"query": "вклад"}))
        .expect(200)
        .json();
    let prediction = &answered["prediction"];
    assert_eq!(prediction["citations"].as_array().unwrap().len(), 1);
    assert_eq!(prediction["failure_mode"], "low_confidence");
    for wrong in [
        json!({}),
        json!({"query": ""}),
        json!({"query": 7}),
        json!({"query": "x", "k": 1}),
    ] {
        let problem = service.post("/predict", &wrong).problem(400);
        assert_eq!(problem, "invalid-request", "{wrong}");
    }
    service.stop();
}

on_every_store!(
    a_faq_answers_with_its_template,
    doubt_and_silence_have_names,
    the_variables_of_the_seed_are_understood,
);
