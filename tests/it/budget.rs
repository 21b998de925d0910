//! What a run may spend: never more, nothing lost, and said before money is gone where that can be known.

use integration_tests::{Backend, Faq, Place, Reply, StubApi, on_every_store};
use serde_json::json;

use crate::support::{DIMENSIONS, api, billed_once, counts};

const MIGRATE: [&str; 3] = ["migrate", "--faq-path", "faq.xlsx"];

fn place(backend: Backend, api: &StubApi) -> Place {
    let place = backend.stub(api);
    place.save("faq.xlsx", &Faq::of(201));
    place
}

fn requests_end_at_their_bound_and_the_next_run_goes_on(backend: Backend) {
    let api = api();
    let place = place(backend, &api);
    let run = place
        .run(&[&MIGRATE[..], &["--max-requests", "5", "--json"]].concat())
        .expect(6)
        .prints_nothing();
    let error = run.error();
    for part in [
        "5 requests are allowed and made",
        "50 of 201 vectors are stored",
    ] {
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(api.requests(), 5);
    assert_eq!(place.json(&["validate"])["ok"], true);
    let run = place
        .run(&[&MIGRATE[..], &["--max-requests", "16", "--json"]].concat())
        .ok()
        .says(&["Resuming: 50 of 201 vectors already paid for, 151 to embed (16 requests)"]);
    counts(&run.json(), &[("requests", 16), ("embedded", 151)]);
    billed_once(&api, 201);
    // What costs nothing needs no budget.
    let run = place.json(&[&MIGRATE[..], &["--max-requests", "0"]].concat());
    counts(&run, &[("unchanged", 201), ("requests", 0)]);
}

fn failed_attempts_count_as_requests(backend: Backend) {
    let api = StubApi::scripted(DIMENSIONS, std::time::Duration::ZERO, |_, _| {
        Reply::Status(503, vec!["Retry-After: 0".to_owned()], String::new())
    });
    let mut place = place(backend, &api);
    place.set("EMBEDDING_MAX_RETRIES", "9");
    let args = [&MIGRATE[..], &["--max-requests", "4", "--concurrency", "1"]].concat();
    place
        .run(&args)
        .expect(6)
        .says(&["4 requests are allowed and made"]);
    assert_eq!(api.requests(), 4);
}

/// A server that bills half a token a byte: dearer than the estimate.
fn dear() -> StubApi {
    StubApi::scripted(DIMENSIONS, std::time::Duration::ZERO, |_, texts| {
        let bytes: usize = texts.iter().map(String::len).sum();
        let vectors = texts.iter().enumerate().map(|(index, text)| {
            let mut vector = vec![0.25f32; DIMENSIONS];
            vector[text.len() % DIMENSIONS] = 1.0;
            json!({"object": "embedding", "index": index, "embedding": vector})
        });
        let body = json!({
            "data": vectors.collect::<Vec<_>>(), "model": "stub-model",
            "usage": {"prompt_tokens": bytes / 2, "total_tokens": bytes / 2}
        });
        Reply::Body(body.to_string())
    })
}

fn tokens_sent(api: &StubApi) -> u64 {
    let asked = api.ledger();
    asked
        .iter()
        .map(|request| request.texts.iter().map(String::len).sum::<usize>() as u64 / 2)
        .sum()
}

#[test]
fn a_cost_that_is_known_to_be_too_high_is_refused_before_a_text_is_sent() {
    let api = dear();
    let mut place = place(Backend::Sqlite, &api);
    place.set("EMBEDDING_PRICE", "100");
    let plan = place.json(&[&MIGRATE[..], &["--dry-run"]].concat());
    let tokens = plan["estimate"]["tokens"].as_u64().unwrap();
    let cost = plan["estimate"]["cost"].as_f64().unwrap();
    assert!((cost - tokens as f64 * 100.0 / 1e6).abs() < 1e-9);
    let allowed = format!("{}", cost * 0.9);
    let run = place
        .run(&[&MIGRATE[..], &["--max-cost", &allowed]].concat())
        .expect(6);
    for part in ["201 texts need about", "nothing was sent", "--only"] {
        assert!(run.error().contains(part), "{}", run.error());
    }
    assert_eq!(api.requests(), 0);
}

fn a_provider_that_bills_more_than_estimated_is_stopped_before_the_bound(backend: Backend) {
    let api = dear();
    let mut place = place(backend, &api);
    place.set("EMBEDDING_PRICE", "100");
    let plan = place.json(&[&MIGRATE[..], &["--dry-run"]].concat());
    let cost = plan["estimate"]["cost"].as_f64().unwrap() * 1.2;
    let allowed = (cost / 100.0 * 1e6) as u64;
    let most = cost.to_string();
    let bounded = [&MIGRATE[..], &["--max-cost", &most]].concat();
    let run = place.run(&bounded).expect(6);
    assert!(
        run.error().contains("vectors are stored"),
        "{}",
        run.error()
    );
    let billed = tokens_sent(&api);
    assert!(
        billed <= allowed,
        "{billed} tokens billed, {allowed} allowed"
    );
    // No more than the calls that no longer fitted are left unspent.
    assert!(billed * 2 > allowed, "{billed} of {allowed}");

    let report = place.json(&MIGRATE);
    let paid = report["cost"].as_f64().unwrap();
    assert!((paid - report["tokens"].as_f64().unwrap() * 100.0 / 1e6).abs() < 1e-9);
    assert_eq!(
        report["embedded"].as_u64().unwrap() + report["reused"].as_u64().unwrap(),
        201
    );
    let texts: Vec<String> = api
        .ledger()
        .into_iter()
        .flat_map(|request| request.texts)
        .collect();
    let distinct: std::collections::BTreeSet<_> = texts.iter().collect();
    assert_eq!(
        (texts.len(), distinct.len()),
        (201, 201),
        "no text is sent twice"
    );
}

#[test]
fn a_budget_needs_a_price_and_a_number() {
    let api = api();
    let mut place = place(Backend::Sqlite, &api);
    let run = |place: &Place, more: &[&str]| place.run(&[&MIGRATE[..], more].concat());
    run(&place, &["--max-cost", "1"])
        .expect(2)
        .says(&["EMBEDDING_PRICE"]);
    for wrong in ["-1", "much", "nan"] {
        let flag = format!("--max-cost={wrong}");
        run(&place, &[&flag]).expect(2).says(&["an amount in USD"]);
    }
    run(&place, &["--max-requests", "some"]).expect(2);
    // What runs in process is free.
    place.set("EMBEDDING_PROVIDER", "hash");
    let args = ["--max-cost", "0", "--store", "sqlite:other.db"];
    run(&place, &args).ok();
    assert_eq!(api.requests(), 0);
}

fn a_crash_leaves_the_ledger_with_what_was_spent(backend: Backend) {
    let server = crate::support::stopping_at(5, Reply::Vectors);
    let place = place(backend, &server.api);
    let args = [&MIGRATE[..], &["--concurrency", "1"]].concat();
    let mut child = place
        .command(&args)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    server.wait();
    child.kill().unwrap();
    child.wait().unwrap();
    server.release();
    let status = place.json(&["status"]);
    let run = &status["last_run"];
    assert_eq!(run["state"], "started", "{status:#}");
    counts(run, &[("requests", 5), ("texts", 50)]);
    let shown = place.run(&["status"]).ok();
    assert!(shown.stdout.contains("not finished"), "{}", shown.stdout);
    place.json(&MIGRATE);
    let status = place.json(&["status"]);
    assert_eq!(status["last_run"]["state"], "finished");
    counts(&status["last_run"], &[("requests", 16), ("texts", 151)]);
}

on_every_store! {
    requests_end_at_their_bound_and_the_next_run_goes_on,
    failed_attempts_count_as_requests,
    a_crash_leaves_the_ledger_with_what_was_spent,
    a_provider_that_bills_more_than_estimated_is_stopped_before_the_bound,
}
