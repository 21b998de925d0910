//! Strings that mean something to SQL, a shell, JSON or a pattern mean nothing here: each is compared as it stands.

use std::collections::BTreeSet;

use integration_tests::http::request;
use integration_tests::{Backend, Service, on_every_store};
use serde_json::{Value, json};

/// What injections are made of, and what surrounds them.
const CORES: [&str; 42] = [
    "' OR 1=1 --",
    "' OR '1'='1",
    "\" OR \"\"=\"",
    "1; DROP TABLE embedding_records; --",
    "'; DELETE FROM collections; --",
    "' UNION SELECT NULL, NULL --",
    "') OR ('a'='a",
    "admin'--",
    "admin' #",
    "' AND SLEEP(5) --",
    "'; SELECT pg_sleep(5); --",
    "' || (SELECT version()) || '",
    "$1",
    "$$; SELECT 1; $$",
    "?1",
    ":name",
    "@p1",
    "%",
    "_",
    "%%%",
    "a%b_c",
    "\\",
    "\\'",
    "\\\\%",
    "[a-z]*",
    "^.*$",
    "(?i)x",
    "*",
    "NULL",
    "null",
    "true",
    "0x27",
    "%27%20OR%201=1",
    "&#39;",
    "<script>alert(1)</script>",
    "{{7*7}}",
    "${jndi:ldap://x/a}",
    "`id`",
    "$(id)",
    "../../etc/passwd",
    "\u{2019} OR 1=1",
    "\u{ff07} OR 1=1",
];
const AROUND: [(&str, &str); 12] = [
    ("", ""),
    (" ", ""),
    ("", " "),
    ("'", "'"),
    ("\"", "\""),
    ("(", ")"),
    ("x", "x"),
    ("\t", "\n"),
    ("Ж", "ё"),
    ("/*", "*/"),
    ("🙂", "🙂"),
    ("1", ";"),
];
/// Words that only SQL, or a driver of it, would say.
const SQL: [&str; 12] = [
    "select ",
    "sqlite",
    "postgres",
    "syntax error",
    "sqlstate",
    "embedding_records",
    " from ",
    "insert ",
    "pgvector",
    "unrecognized token",
    "rusqlite",
    "tokio_postgres",
];

fn strings() -> Vec<String> {
    let all: BTreeSet<String> = CORES
        .iter()
        .flat_map(|core| AROUND.map(|(before, after)| format!("{before}{core}{after}")))
        .collect();
    assert!(all.len() > 450, "{}", all.len());
    all.into_iter().collect()
}

fn a_string_is_a_string_in_every_field(backend: Backend) {
    let place = backend.hash();
    let strings = strings();
    // One row in ten bears the string itself: it, and only it, must be found.
    let stored: Vec<&String> = strings.iter().step_by(10).collect();
    let lines: String = stored
        .iter()
        .enumerate()
        .map(|(number, string)| {
            let line = json!({"id": format!("r{number}"), "question": format!("Вопрос {number}?"),
                "answer": format!("Ответ {string} конец."), "category": string, "word": string});
            format!("{line}\n")
        })
        .collect();
    place.write("faq.jsonl", lines);
    place.migrate("faq.jsonl", &[]);
    let service = Service::start(&place, &[]);
    let mut connection = service.connect();
    let mut ask = |body: &Value| {
        let body = body.to_string();
        let answer = connection.ask(&request("POST", "/search", &[], Some(body.as_bytes())));
        let answer = answer.unwrap();
        let told = answer.text().to_lowercase();
        if answer.status != 200 {
            let code = answer.problem(answer.status);
            assert!(
                code == "invalid-request" || code == "no-such-collection",
                "{body}: {code}"
            );
            for word in SQL {
                // What was asked may be quoted.
                assert!(
                    !told.contains(word) || body.to_lowercase().contains(word),
                    "{told}"
                );
            }
            return None;
        }
        let hits = answer.json()["hits"].as_array().unwrap().clone();
        Some(hits)
    };
    // What was stored, as the source's reader left it: what equals this string is found by comparing here.
    let all = ask(&json!({"text": "Вопрос", "top_k": 1000, "threshold": -1})).unwrap();
    assert_eq!(all.len(), stored.len());
    let ids = |hits: &[Value]| -> BTreeSet<String> {
        hits.iter()
            .map(|hit| hit["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let mut differences = Vec::new();
    let mut found = 0;
    for string in &strings {
        let equal = |field: &dyn Fn(&Value) -> &Value| -> BTreeSet<String> {
            // Texts are compared without regard to case.
            let same = |hit: &&Value| {
                let stored = field(hit).as_str().unwrap_or_default();
                stored.to_lowercase() == string.to_lowercase()
            };
            let equal = all.iter().filter(same);
            ids(&equal.cloned().collect::<Vec<_>>())
        };
        let base = json!({"text": "Вопрос", "top_k": 1000, "threshold": -1});
        let with = |field: &str, value: Value| {
            let mut body = base.clone();
            body[field] = value;
            body
        };
        let word = equal(&|hit| &hit["metadata"]["word"]);
        found += word.len();
        let by_word = ask(&with("filters", json!({"word": string}))).unwrap();
        let by_sign = ask(&with("filters", json!({"word": {"=": string}}))).unwrap();
        let by_key = ask(&with("filters", json!({string: string}))).unwrap();
        for (how, hits, expected) in [
            ("filter", by_word, &word),
            ("filter by sign", by_sign, &word),
            ("key of a filter", by_key, &BTreeSet::new()),
            (
                "document",
                ask(&with("document", json!(string))).unwrap(),
                &BTreeSet::new(),
            ),
        ] {
            if ids(&hits) != *expected {
                differences.push(format!(
                    "{how} {string:?}: {:?} for {expected:?}",
                    ids(&hits)
                ));
            }
        }
        // So are categories.
        let same = |hit: &&Value| {
            let category = hit["category"].as_str().unwrap_or_default();
            category.to_lowercase() == string.to_lowercase()
        };
        let expected = ids(&all.iter().filter(same).cloned().collect::<Vec<_>>());
        let hits = ask(&with("category", json!(string))).unwrap();
        if ids(&hits) != expected {
            differences.push(format!(
                "category {string:?}: {:?} for {expected:?}",
                ids(&hits)
            ));
        }
        // A question is only a question, and a name that is none is refused.
        let _ = ask(&json!({"text": string}));
        let _ = ask(&with("collection", json!(string)));
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(
        found > 30,
        "rows that bear a string are found by it: {found}"
    );
    let again = ask(&json!({"text": "Вопрос", "top_k": 1000, "threshold": -1})).unwrap();
    assert_eq!(ids(&again), ids(&all), "nothing was changed");
    service.stop();
}

on_every_store!(a_string_is_a_string_in_every_field);
