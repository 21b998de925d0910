//! The service answers what the command line does, from one generation at a time, and follows the store.

use std::sync::atomic::{AtomicBool, Ordering};

use integration_tests::{Backend, Faq, Place, Service, on_every_store};
use serde_json::{Value, json};

fn articles(backend: Backend) -> Place {
    let place = backend.hash();
    let articles = [
        json!({"id": "a", "question": "Как открыть вклад?", "answer": "В приложении.", "category": "Вклады",
            "year": 2019, "rate": 1.5, "active": true, "code": "007"}),
        json!({"id": "b", "question": "Как открыть счёт?", "answer": "В отделении, с паспортом.", "category": "Счета",
            "year": 2020, "rate": 2.0, "active": false, "code": "7"}),
        json!({"id": "c", "question": "Как закрыть вклад?", "answer": "В приложении или в отделении.",
            "category": "Вклады", "year": 2024, "rate": 3.25, "active": true}),
        json!({"id": "d", "question": "Где банкомат?", "answer": "На карте.", "category": "Карты"}),
    ];
    let lines: String = articles.iter().map(|line| format!("{line}\n")).collect();
    place.write("faq.jsonl", lines);
    place.migrate("faq.jsonl", &[]);
    place
}

/// All but how long it took.
fn timeless(mut found: Value) -> Value {
    if let Some(found) = found.as_object_mut() {
        found.remove("ms");
        found.remove("mode");
    }
    found
}

fn a_search_finds_what_the_command_line_finds_bit_for_bit(backend: Backend) {
    let place = articles(backend);
    let service = Service::start(&place, &[]);
    let question = "Как открыть вклад?";
    let cases: &[(&[&str], Value)] = &[
        (&[], json!({})),
        (&["-k", "1"], json!({"top_k": 1})),
        (&["-k", "1000"], json!({"top_k": 1000})),
        (&["--threshold", "0.5"], json!({"threshold": 0.5})),
        (&["--threshold", "1"], json!({"threshold": 1})),
        (&["--category", "Вклады"], json!({"category": "Вклады"})),
        (&["--category", "вклады"], json!({"category": "вклады"})),
        (&["--document", "b"], json!({"document": "b"})),
        (&["--contains", "паспорт"], json!({"contains": "паспорт"})),
        (
            &["--filter", "year=2020"],
            json!({"filters": {"year": 2020}}),
        ),
        (
            &["--filter", "year>=2020"],
            json!({"filters": {"year": {">=": 2020}}}),
        ),
        (
            &["--filter", "year>=2020"],
            json!({"filters": ["year>=2020"]}),
        ),
        (
            &["--filter", "rate<2.5"],
            json!({"filters": {"rate": {"<": 2.5}}}),
        ),
        (
            &["--filter", "active=true"],
            json!({"filters": {"active": true}}),
        ),
        (
            &["--filter", "code=\"007\""],
            json!({"filters": {"code": "007"}}),
        ),
        (
            &["--filter", "year>=2019", "--filter", "year<2024"],
            json!({"filters": {"year": {">=": 2019, "<": 2024}}}),
        ),
        (&["--collection", "faq"], json!({"collection": "faq"})),
    ];
    for (flags, body) in cases {
        let told = place.json(&[&["search", question], *flags].concat());
        let mut body = body.clone();
        body["text"] = question.into();
        let answered = service.search(&body);
        // The numbers as they are written: equal floats are written alike, and different ones are not.
        assert_eq!(
            timeless(answered).to_string(),
            timeless(told).to_string(),
            "{flags:?}"
        );
    }
    service.stop();
}

fn a_ready_vector_and_a_batch_find_the_same(backend: Backend) {
    let place = articles(backend);
    let service = Service::start(&place, &[]);
    let dimensions =
        service.get("/models").expect(200).json()["collections"][0]["model"]["dimensions"]
            .as_u64()
            .unwrap();
    let numbers: Vec<f32> = (0..dimensions)
        .map(|n| f32::from(u16::try_from(n * 7919 % 1009).unwrap()) / 1009.0 - 0.5)
        .collect();
    let bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
    place.write("q.f32", bytes);
    let told = place.json(&["search", "--query-vector", "q.f32", "-k", "4"]);
    let body = json!({"vector": numbers, "top_k": 4});
    let answered = service.search(&body);
    assert_eq!(
        timeless(answered.clone()).to_string(),
        timeless(told).to_string()
    );
    let searches = [
        body,
        json!({"text": "Где банкомат?"}),
        json!({"text": "вклад", "category": "Вклады"}),
    ];
    let batch = service.search(&json!({"batch": searches}));
    let results = batch["results"].as_array().unwrap();
    assert_eq!(results.len(), searches.len());
    for (search, result) in searches.iter().zip(results) {
        let mut alone = timeless(service.search(search));
        alone.as_object_mut().unwrap().remove("schema");
        assert_eq!(timeless(result.clone()), alone, "{search}");
    }
    service.stop();
}

fn collections_are_told_apart_and_the_missing_one_is_named(backend: Backend) {
    let place = articles(backend);
    place.save("other.csv", &Faq::with_ids(3));
    place.migrate("other.csv", &["--collection", "other"]);
    let service = Service::start(&place, &[]);
    let found = service.search(&json!({"text": "карту", "collection": "other", "top_k": 9}));
    assert_eq!(found["hits"].as_array().unwrap().len(), 3);
    let missing = service.post("/search", &json!({"text": "x", "collection": "nowhere"}));
    assert_eq!(missing.problem(404), "no-such-collection");
    let detail = missing.json()["detail"].to_string();
    assert!(detail.contains("faq, other"), "{detail}");
    let models = service.get("/models").expect(200).json();
    let names: Vec<&str> = models["collections"]
        .as_array()
        .unwrap()
        .iter()
        .map(|collection| collection["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["faq", "other"]);
    assert_eq!(models["collections"][0]["records"], 4);
    service.stop();
}

fn an_empty_store_is_served_and_fills_while_it_is(backend: Backend) {
    let place = backend.hash();
    place.write("empty.jsonl", "");
    let service = Service::begin(&place, &[]);
    place.save("faq.csv", &Faq::with_ids(5));
    place.migrate("faq.csv", &[]);
    service.wait_until("ready with rows", |ready| {
        ready.status == 200 && ready.json()["rows"] == 5
    });
    let found = service.search(&json!({"text": "карту", "top_k": 9}));
    assert_eq!(found["hits"].as_array().unwrap().len(), 5);
    service.stop();
}

/// Every row says which edition it is of, and an answer must hold one edition only.
fn an_answer_never_mixes_generations(backend: Backend) {
    const EDITIONS: u64 = 6;
    const ROWS: usize = 40;
    let edition = |number: u64| {
        let lines = (0..ROWS).map(|row| {
            let line = json!({"id": format!("r{row:03}"), "question": format!("Вопрос {row}?"),
                "answer": format!("Ответ {row}, издание {number}."), "edition": number});
            format!("{line}\n")
        });
        lines.collect::<String>()
    };
    let place = backend.hash();
    place.write("faq.jsonl", edition(0));
    place.migrate("faq.jsonl", &[]);
    let service = Service::start(&place, &[]);
    let done = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut seen = Vec::new();
            while !done.load(Ordering::SeqCst) || seen.last() != Some(&(EDITIONS - 1)) {
                let body = json!({"batch": [{"text": "Вопрос 7?", "top_k": ROWS},
                    {"text": "издание", "top_k": ROWS}]});
                let answered = service.search(&body);
                let results = answered["results"].as_array().unwrap();
                let editions: Vec<u64> = results
                    .iter()
                    .flat_map(|result| result["hits"].as_array().unwrap())
                    .map(|hit| hit["metadata"]["edition"].as_u64().unwrap())
                    .collect();
                assert_eq!(editions.len(), 2 * ROWS);
                assert!(
                    editions.iter().all(|edition| *edition == editions[0]),
                    "{editions:?}"
                );
                assert_eq!(results[0]["generation"], results[1]["generation"]);
                if seen.last() != Some(&editions[0]) {
                    seen.push(editions[0]);
                }
            }
            seen
        });
        for number in 1..EDITIONS {
            place.write("faq.jsonl", edition(number));
            place.json(&["sync", "--faq-path", "faq.jsonl"]);
        }
        done.store(true, Ordering::SeqCst);
        asking.join().unwrap()
    });
    assert!(seen.is_sorted(), "time goes one way: {seen:?}");
    service.stop();
}

fn a_request_keeps_its_id_in_the_answer_and_the_log(backend: Backend) {
    let place = articles(backend);
    let service = Service::start(&place, &[]);
    let ask = |id: &str, body: &str| {
        let headers = [("X-Request-Id", id)];
        service.ask("POST", "/search", &headers, Some(body.as_bytes()))
    };
    let answered = ask("ticket-4711", "{\"text\":\"вклад\"}").expect(200);
    assert_eq!(answered.header("x-request-id"), Some("ticket-4711"));
    assert_eq!(answered.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answered.header("access-control-allow-origin"), None);
    let failed = ask("ticket-4712", "{\"text\":\"\"}");
    assert_eq!(failed.problem(400), "invalid-request");
    assert_eq!(failed.json()["request_id"], "ticket-4712");
    // Whatever could forge a line of the log is not taken over.
    let forged = ask("x y{}", "{\"text\":\"вклад\"}").expect(200);
    assert_ne!(forged.header("x-request-id"), Some("x y{}"));
    let log = service.stop();
    for id in ["ticket-4711", "ticket-4712"] {
        assert!(log.contains(id), "{log}");
    }
    assert!(!log.contains("x y{}"), "{log}");
}

fn what_is_asked_is_not_logged(backend: Backend) {
    let place = articles(backend);
    let service = Service::start(&place, &[]);
    let found = service.search(&json!({"text": "мой номер паспорта 7413131"}));
    assert!(found["hits"].is_array());
    let log = service.stop();
    assert!(!log.contains("7413131"), "{log}");
}

fn probes_figures_and_descriptions_are_there(backend: Backend) {
    let place = articles(backend);
    let service = Service::start(&place, &[]);
    assert_eq!(service.get("/livez").expect(200).json()["status"], "alive");
    let ready = service.get("/readyz").expect(200).json();
    assert_eq!(
        (&ready["status"], &ready["rows"]),
        (&json!("ready"), &json!(4))
    );
    let _ = service.search(&json!({"text": "вклад"}));
    let figures = service.get("/metrics").expect(200).text();
    for name in [
        "generation",
        "index_rows",
        "degraded 0",
        "search_duration_seconds_bucket",
        "# EOF",
    ] {
        assert!(figures.contains(name), "{name} is not in\n{figures}");
    }
    let described = service.get("/openapi.json").expect(200).json();
    assert!(described["openapi"].as_str().unwrap().starts_with("3.1"));
    for path in ["/search", "/predict", "/models", "/readyz"] {
        assert!(described["paths"][path].is_object(), "{path}");
    }
    for page in ["/", "/docs"] {
        let page = service.get(page).expect(200);
        assert!(
            page.header("content-type")
                .unwrap()
                .starts_with("text/html")
        );
    }
    assert_eq!(service.get("/nowhere").problem(404), "not-found");
    let wrong = service.ask("DELETE", "/search", &[], None);
    assert_eq!(wrong.problem(405), "method-not-allowed");
    assert!(wrong.header("allow").unwrap().contains("POST"));
    service.stop();
}

on_every_store!(
    a_search_finds_what_the_command_line_finds_bit_for_bit,
    a_ready_vector_and_a_batch_find_the_same,
    collections_are_told_apart_and_the_missing_one_is_named,
    an_empty_store_is_served_and_fills_while_it_is,
    an_answer_never_mixes_generations,
    a_request_keeps_its_id_in_the_answer_and_the_log,
    what_is_asked_is_not_logged,
    probes_figures_and_descriptions_are_there,
);
