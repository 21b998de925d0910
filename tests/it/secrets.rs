//! A key is sent to the provider and shows up nowhere else.

use integration_tests::{Faq, Place, Reply, StubApi};

use crate::support::{DIMENSIONS, api};

const KEY: &str = "sk-MARKED-7f3a91c0";
const MARK: &str = "MARKED-7f3a91c0";

#[track_caller]
fn nowhere(place: &Place, args: &[&str]) {
    let run = place.run(args);
    for (name, text) in [("stdout", &run.stdout), ("stderr", &run.stderr)] {
        assert!(
            !text.contains(MARK),
            "the key is in {name} of {}:\n{text}",
            run.command
        );
    }
    for (path, bytes) in place.files() {
        let found = bytes
            .windows(MARK.len())
            .any(|window| window == MARK.as_bytes());
        assert!(
            !found,
            "{} wrote the key into {}",
            run.command,
            path.display()
        );
    }
}

#[test]
fn the_key_is_in_no_output_and_in_no_file() {
    let api = api();
    for loud in [false, true] {
        let mut place = Place::stub(&api);
        place.set("EMBEDDING_API_KEY", KEY);
        if loud {
            place.set("RUST_LOG", "trace");
        }
        place.save("faq.csv", &Faq::of(20));
        place.write("golden.jsonl", r#"{"query": "карта", "gold": []}"#);
        for args in [
            &[
                "migrate",
                "--faq-path",
                "faq.csv",
                "-vvv",
                "--metadata-dir",
                "reports",
            ][..],
            &[
                "migrate",
                "--faq-path",
                "faq.csv",
                "-vvv",
                "--json",
                "--force-recompute",
            ],
            &["search", "карта", "-vvv", "--log-format", "json"],
            &["search", "карта", "-vvv", "--json"],
            &["eval", "golden.jsonl", "-vvv"],
            &["status", "-vvv", "--json"],
            &["validate", "-vvv"],
            &["config", "show", "--origin"],
            &["config", "show", "--origin", "--json"],
            &["migrate", "--help"],
        ] {
            nowhere(&place, args);
        }
    }
    let asked = api.ledger();
    let header = asked
        .last()
        .and_then(|request| request.authorization.as_deref());
    assert_eq!(header, Some(&*format!("Bearer {KEY}")));
}

#[test]
fn a_provider_that_repeats_the_key_does_not_make_us_print_it() {
    let said = format!("Incorrect API key provided: {KEY}. You can find your key at …");
    for status in [400, 401, 403, 429, 500, 503] {
        let body = serde_json::json!({ "error": { "message": said } }).to_string();
        let headers = vec![format!("x-request-id: {KEY}")];
        let api = StubApi::scripted(DIMENSIONS, std::time::Duration::ZERO, move |_, _| {
            Reply::Status(status, headers.clone(), body.clone())
        });
        let mut place = Place::stub(&api);
        place.set("EMBEDDING_API_KEY", KEY);
        place.set("RUST_LOG", "trace");
        place.save("faq.csv", &Faq::of(3));
        nowhere(&place, &["migrate", "--faq-path", "faq.csv", "-vvv"]);
    }
}

#[test]
fn a_key_in_the_address_is_not_shown_either() {
    let api = api();
    let mut place = Place::stub(&api);
    place.set("RUST_LOG", "trace");
    let address = api.url().replace("http://", &format!("http://user:{KEY}@"));
    place.set("EMBEDDING_BASE_URL", format!("{address}/v1"));
    place.save("faq.csv", &Faq::of(3));
    for args in [
        &["migrate", "--faq-path", "faq.csv", "-vvv"][..],
        &["config", "show", "--origin"],
        &["search", "карта", "-vvv"],
    ] {
        nowhere(&place, args);
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let down = listener.local_addr().unwrap();
    drop(listener);
    place.set("EMBEDDING_BASE_URL", format!("http://user:{KEY}@{down}/v1"));
    nowhere(&place, &["search", "карта", "-vvv"]);
}

#[test]
fn a_password_on_the_command_line_is_warned_about_and_not_repeated() {
    let place = Place::new();
    let args = ["config", "show", "--origin", "--postgres-password", KEY];
    nowhere(&place, &args);
    place
        .run(&args)
        .ok()
        .says(&["--postgres-password", "POSTGRES_PASSWORD"]);
    let url = format!("postgres://user:{KEY}@db.example/faq");
    nowhere(&place, &["status", "--store", &url, "-vvv"]);
    nowhere(&place, &["config", "show", "--origin", "--store", &url]);
}

#[test]
fn customers_texts_are_in_no_log() {
    let api = api();
    let mut place = Place::stub(&api);
    place.set(
        "RUST_LOG",
        "trace,hyper=info,h2=info,reqwest=info,hyper_util=info",
    );
    let mut faq = Faq::of(3);
    faq.0[0].answer = "Примета-4711".to_owned();
    place.save("faq.csv", &faq);
    for args in [
        &["migrate", "--faq-path", "faq.csv", "-vvv"][..],
        &["search", "Примета-4711", "-vvv"],
    ] {
        let run = place.run(args).ok();
        assert!(!run.stderr.contains("4711"), "{}", run.stderr);
    }
}
