//! Who may ask: keys, where they come from, and what happens without one.

use integration_tests::{Backend, Faq, MARK, Outcome, Place, Service, on_every_store};
use serde_json::json;

const BODY: &[u8] = b"{\"text\":\"x\"}";

fn filled(backend: Backend) -> Place {
    let place = backend.hash();
    place.save("faq.csv", &Faq::with_ids(3));
    place.migrate("faq.csv", &[]);
    place
}

fn key(word: &str) -> String {
    format!("{word}-{MARK}")
}

fn a_key_opens_what_it_is_for_and_nothing_else(backend: Backend) {
    let mut place = filled(backend);
    place.set(
        "SMART_SUPPORT_API_KEY",
        format!("{}, {}", key("admin1"), key("admin2")),
    );
    place.set("SMART_SUPPORT_READ_KEY", key("reader"));
    let service = Service::start(&place, &[]);
    let ask = |key: Option<&str>| {
        let headers: Vec<(&str, &str)> = key.map(|key| ("X-API-Key", key)).into_iter().collect();
        service.ask("POST", "/search", &headers, Some(BODY))
    };
    let missing = ask(None);
    assert_eq!(missing.problem(401), "key-missing");
    assert!(missing.header("www-authenticate").is_some());
    for wrong in [
        "",
        "wrong",
        "reader",
        &key("admin"),
        &key("admin12"),
        &"x".repeat(20_000),
    ] {
        assert_eq!(ask(Some(wrong)).problem(401), "key-wrong", "{wrong}");
    }
    for right in ["admin1", "admin2", "reader"] {
        let _ = ask(Some(&key(right))).expect(200);
    }
    // Probes and descriptions are for everybody; figures are not.
    for open in ["/livez", "/readyz", "/openapi.json", "/docs", "/"] {
        let _ = service.get(open).expect(200);
    }
    for shut in ["/metrics", "/models"] {
        assert_eq!(service.get(shut).problem(401), "key-missing");
        let reader = key("reader");
        let _ = service
            .ask("GET", shut, &[("X-API-Key", &reader)], None)
            .expect(200);
    }
    service.stop();
}

#[test]
fn a_key_does_not_travel_unencrypted_to_another_machine() {
    let mut place = filled(Backend::Sqlite);
    place.set("SMART_SUPPORT_API_KEY", key("admin"));
    for command in ["status", "repair"] {
        // A network for documents: nobody is there.
        let outcome = place.run(&[command, "--service", "http://192.0.2.1:9"]);
        let _ = outcome.expect(2).says(&["would travel unencrypted"]);
    }
}

fn a_key_that_may_read_changes_nothing(backend: Backend) {
    let mut place = filled(backend);
    place.set("SMART_SUPPORT_API_KEY", key("admin"));
    place.set("SMART_SUPPORT_READ_KEY", key("reader"));
    let service = Service::start(&place, &[]);
    let described = service.get("/openapi.json").expect(200).json();
    let reader = key("reader");
    let mut tried = 0;
    for (path, item) in described["paths"].as_object().unwrap() {
        for method in ["post", "put", "delete", "patch"] {
            if item[method].is_null() || ["/search", "/predict"].contains(&path.as_str()) {
                continue;
            }
            let path = path.replace("{id}", "x");
            let answer = service.ask(
                &method.to_uppercase(),
                &path,
                &[("X-API-Key", &reader)],
                Some(b"{}"),
            );
            assert_eq!(answer.problem(403), "key-not-allowed", "{method} {path}");
            let answer = service.ask(&method.to_uppercase(), &path, &[], Some(b"{}"));
            assert_eq!(answer.problem(401), "key-missing", "{method} {path}");
            tried += 1;
        }
    }
    // As long as nothing is written through the service there is nothing to refuse.
    assert_eq!(
        tried > 0,
        described["paths"]["/documents"].is_object(),
        "{tried}"
    );
    service.stop();
}

on_every_store!(
    a_key_opens_what_it_is_for_and_nothing_else,
    a_key_that_may_read_changes_nothing,
);

#[test]
fn a_key_may_be_in_a_file_or_kept_as_its_hash() {
    let mut place = filled(Backend::Sqlite);
    place.write("keys.txt", format!("{}\n", key("in-a-file")));
    place.set("SMART_SUPPORT_API_KEY_FILE", place.path("keys.txt"));
    let made = place.json(&["key", "new", "--role", "read", "--name", "shop"]);
    let (shown, kept) = (&made["key"], &made["keep"]);
    let shown = shown
        .as_str()
        .unwrap_or_else(|| panic!("{made}"))
        .to_owned();
    let kept = kept.as_str().unwrap_or_else(|| panic!("{made}")).to_owned();
    assert!(!kept.contains(&shown));
    place.set("SMART_SUPPORT_READ_KEY", &kept);
    let service = Service::start(&place, &[]);
    for key in [&key("in-a-file"), &shown] {
        let _ = service
            .ask("POST", "/search", &[("X-API-Key", key)], Some(BODY))
            .expect(200);
    }
    let hash = kept.rsplit(':').next().unwrap();
    for wrong in [kept.as_str(), hash] {
        let answer = service.ask("POST", "/search", &[("X-API-Key", wrong)], Some(BODY));
        assert_eq!(answer.problem(401), "key-wrong", "a hash is no key");
    }
    let log = service.stop();
    assert!(!log.contains(&shown), "{log}");
}

fn refused(place: &Place, listen: &str) -> Outcome {
    place.run(&["serve", "--listen", listen]).expect(2)
}

#[test]
fn an_address_that_others_reach_needs_a_key() {
    let place = filled(Backend::Sqlite);
    for open in ["0.0.0.0:0", "[::]:0"] {
        let outcome = refused(&place, open).says(&["key new", "SMART_SUPPORT_API_KEY"]);
        assert!(outcome.error().contains("no key"), "{}", outcome.error());
    }
    for wrong in ["nonsense", "127.0.0.1", "127.0.0.1:99999"] {
        let _ = refused(&place, wrong).says(&["127.0.0.1:8080"]);
    }
    let mut place = place;
    place.set("SMART_SUPPORT_API_KEY", "short");
    let _ = refused(&place, "127.0.0.1:0").says(&["shorter"]);
}

#[test]
fn a_taken_port_is_named() {
    let place = filled(Backend::Sqlite);
    let service = Service::start(&place, &[]);
    let taken = service.address().to_string();
    let _ = refused(&place, &taken).says(&[&taken, "--listen"]);
    assert!(service.search(&json!({"text": "x"}))["hits"].is_array());
    service.stop();
}
