//! Documents that are sent, and the jobs they become.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::Request;
use embedder_client::EmbedErrorKind;
use server::{ApiKey, ApiKeys, Role, ServiceErrorKind};
use storage_core::EmbeddingStore;

use crate::harness::{Place, document, faq};

#[tokio::test]
async fn a_document_is_found_as_soon_as_its_job_is_done() {
    let place = Place::new().await;
    let taken = place
        .post(
            "/documents?name=manual.md",
            "block the card\n\nlost password",
        )
        .await;
    assert_eq!(taken.status, 202);
    let told = taken.json();
    assert_eq!(
        (&told["kind"], &told["state"]),
        (&"documents".into(), &"waiting".into())
    );
    assert_eq!(told["document_id"], "manual.md");
    let job = place.ended(&taken).await;
    assert_eq!(job["state"], "done", "{job}");
    assert_eq!(job["result"]["synced"], 2);
    assert_eq!(job["progress"]["to_embed"], 2);
    assert_eq!(job["progress"]["stored"], 2);
    assert!(job["created_at"].as_str().unwrap() < job["finished_at"].as_str().unwrap());
    // No pause: the next question is answered from it.
    assert_eq!(place.found("block the card").await[0], "manual.md:0");
    let jobs = place.get("/jobs").await.json();
    assert_eq!(jobs["jobs"][0]["id"], job["id"]);
}

#[tokio::test]
async fn a_document_that_is_sent_again_costs_what_is_new_and_loses_what_is_gone() {
    let place = Place::new().await;
    place.sent("a", "one\n\ntwo\n\nthree").await;
    place.sent("b", "one\n\nfour").await;
    assert_eq!(
        place.paid(),
        4,
        "a text that is stored is not paid for again"
    );
    let job = place.sent("a", "zero\n\none").await;
    assert_eq!(job["result"]["embedded"], 1, "{job}");
    assert_eq!(job["result"]["deleted"], 1);
    assert_eq!(place.chunks("a").await, ["zero", "one"]);
    assert_eq!(place.chunks("b").await, ["one", "four"]);
}

#[tokio::test]
async fn a_document_of_a_workbook_is_not_replaced_by_an_upload() {
    let place = Place::new().await;
    place.filled(document("manual", &["one", "two"])).await;
    let answer = place.post("/documents?name=manual", "three").await;
    assert_eq!(answer.problem(), (409, "conflict".to_owned()));
    assert!(
        answer.json()["detail"]
            .as_str()
            .unwrap()
            .contains("file:manuals")
    );
    // What the service has not seen yet, the job sees.
    let mut other = document("other", &["five"]);
    other.name = "others".to_owned();
    place.fill(other).await;
    let job = place.sent("other", "three").await;
    assert_eq!(
        (&job["state"], &job["problem"]["code"]),
        (&"failed".into(), &"conflict".into())
    );
}

#[tokio::test]
async fn what_cannot_be_read_is_told_by_the_job_and_changes_nothing() {
    let place = Place::new().await;
    place.sent("a", "one").await;
    for (body, code) in [
        (&b"\xff\xfe\xfd"[..], "unreadable-document"),
        (b" \n ", "unreadable-document"),
    ] {
        let taken = place.post("/documents?name=a", body).await;
        let job = place.ended(&taken).await;
        assert_eq!(
            (&job["state"], &job["problem"]["code"]),
            (&"failed".into(), &code.into())
        );
    }
    assert_eq!(place.found("one").await, ["a:0"]);
}

#[tokio::test]
async fn a_job_that_panics_ends_itself_and_no_other() {
    let place = Place::new().await;
    let job = place.sent("panic", "one").await;
    assert_eq!(
        (&job["state"], &job["problem"]["code"]),
        (&"failed".into(), &"internal".into())
    );
    assert_eq!(place.sent("a", "one").await["state"], "done");
}

#[tokio::test]
async fn an_upload_that_is_cut_off_leaves_nothing() {
    let place = Place::new().await;
    let chunks: [Result<Bytes, std::io::Error>; 2] = [
        Ok(Bytes::from_static(b"one\n\n")),
        Err(std::io::ErrorKind::ConnectionReset.into()),
    ];
    let body = Body::from_stream(futures_util::stream::iter(chunks));
    let request = Request::post("/documents?name=a").body(body).unwrap();
    assert_eq!(place.call(request).await.problem().0, 400);
    assert_eq!(
        place.get("/jobs").await.json()["jobs"]
            .as_array()
            .unwrap()
            .len(),
        0
    );
}

#[tokio::test]
async fn a_provider_that_fails_half_way_leaves_nothing_visible_and_nothing_is_paid_twice() {
    let place = Place::new().await;
    place.sent("a", "one").await;
    let calls = place.backend.embedder.attempts();
    place
        .backend
        .embedder
        .fail_after(calls + 1, EmbedErrorKind::Unavailable);
    let job = place.sent("a", "two\n\nthree\n\nfour\n\nfive").await;
    assert_eq!(
        (&job["state"], &job["problem"]["code"]),
        (&"failed".into(), &"provider-unavailable".into())
    );
    assert_eq!(place.chunks("a").await, ["one"]);
    place.backend.embedder.recover();
    let job = place.sent("a", "two\n\nthree\n\nfour\n\nfive").await;
    assert_eq!(
        (&job["result"]["embedded"], &job["result"]["reused"]),
        (&2.into(), &2.into())
    );
    assert_eq!(place.paid(), 5);
}

#[tokio::test]
async fn names_and_forms_that_cannot_be_are_refused_at_once() {
    let place = Place::new().await;
    let long = "x".repeat(129);
    for address in [
        "/documents",
        "/documents?name=",
        "/documents?name=%20a",
        "/documents?name=a%00b",
        "/documents?name=a&size=1",
        "/documents?name=a&id=%0a",
        "/documents?name=a&collection=",
        &format!("/documents?name={long}"),
        &format!("/documents?name=a&collection={long}"),
    ] {
        let answer = place.post(address, "one").await;
        assert_eq!(
            answer.problem(),
            (400, "invalid-request".to_owned()),
            "{address}"
        );
    }
    assert_eq!(place.post("/documents?name=a", "").await.problem().0, 400);
    let form = Request::post("/documents?name=a")
        .header("content-type", "multipart/form-data; boundary=x")
        .body(Body::from("one"))
        .unwrap();
    assert_eq!(place.call(form).await.problem().0, 415);
    let answer = place.get("/jobs/nothing-1").await;
    assert_eq!(answer.problem(), (404, "no-such-job".to_owned()));
}

#[tokio::test]
async fn a_full_queue_says_when_to_come_again() {
    let place = Place::with(|settings| settings.limits.jobs = 2).await;
    let held = place.backend.gate.lock().await;
    let first = place.post("/documents?name=a", "one").await;
    let address = first.headers["location"].to_str().unwrap().to_owned();
    let running = |answer: &crate::harness::Answer| answer.json()["state"] == "running";
    place.until(&address, running).await;
    let taken = [
        place.post("/documents?name=b", "two").await,
        place.post("/documents?name=c", "three").await,
    ];
    let answer = place.post("/documents?name=d", "four").await;
    assert_eq!(answer.problem(), (503, "overloaded".to_owned()));
    assert!(answer.headers.contains_key("retry-after"));
    let metrics = String::from_utf8(place.get("/metrics").await.body).unwrap();
    assert!(
        metrics.contains("smart_support_jobs_waiting 2"),
        "{metrics}"
    );
    drop(held);
    for taken in &taken {
        assert_eq!(place.ended(taken).await["state"], "done");
    }
    let metrics = String::from_utf8(place.get("/metrics").await.body).unwrap();
    assert!(
        metrics.contains(r#"smart_support_jobs_total{kind="documents",state="done"} 3"#),
        "{metrics}"
    );
}

#[tokio::test]
async fn uploads_that_wait_hold_a_bounded_amount_of_memory() {
    let place = Place::with(|settings| {
        settings.limits.upload_bytes = 10;
        settings.limits.waiting_bytes = 40;
    })
    .await;
    let held = place.backend.gate.lock().await;
    let first = place.post("/documents?name=a", "0123456789").await;
    let address = first.headers["location"].to_str().unwrap().to_owned();
    place
        .until(&address, |answer| answer.json()["state"] == "running")
        .await;
    for _ in 0..4 {
        assert_eq!(
            place.post("/documents?name=a", "0123456789").await.status,
            202
        );
    }
    let answer = place.post("/documents?name=a", "0").await;
    assert_eq!(answer.problem(), (503, "overloaded".to_owned()));
    let answer = place.post("/documents?name=a", "0123456789+").await;
    assert_eq!(answer.problem(), (413, "too-large".to_owned()));
    drop(held);
}

#[tokio::test]
async fn jobs_that_have_ended_are_forgotten_oldest_first() {
    let place = Place::with(|settings| settings.limits.kept_jobs = 2).await;
    let mut ids = Vec::new();
    for name in ["a", "b", "c"] {
        ids.push(
            place.sent(name, name).await["id"]
                .as_str()
                .unwrap()
                .to_owned(),
        );
    }
    assert_eq!(place.get(&format!("/jobs/{}", ids[0])).await.status, 404);
    assert_eq!(place.get(&format!("/jobs/{}", ids[1])).await.status, 200);
    assert_eq!(place.get(&format!("/jobs/{}", ids[2])).await.status, 200);
}

#[tokio::test]
async fn the_end_stops_what_waits_and_what_runs_and_takes_no_more() {
    let place = Place::new().await;
    let held = place.backend.gate.lock().await;
    let running = place.post("/documents?name=a", "one").await;
    let waiting = place.post("/documents?name=b", "two").await;
    place.service.end();
    assert_eq!(place.ended(&waiting).await["state"], "stopped");
    drop(held);
    place.service.idle().await;
    let job = place.ended(&running).await;
    assert_eq!(
        (&job["state"], &job["problem"]["code"]),
        (&"stopped".into(), &"shutting-down".into())
    );
    let answer = place.post("/documents?name=c", "three").await;
    assert_eq!(answer.problem(), (503, "shutting-down".to_owned()));
    assert_eq!(
        place
            .backend
            .store
            .status()
            .await
            .unwrap()
            .collection(&faq()),
        None
    );
    assert_eq!(place.paid(), 0);
}

#[tokio::test]
async fn a_store_that_is_away_fails_the_job_with_a_word_to_retry_by() {
    let place = Place::with(|settings| settings.limits.store_time = Duration::ZERO).await;
    *place.backend.away.lock().unwrap() = Some(ServiceErrorKind::Unavailable);
    let job = place.sent("a", "one").await;
    assert_eq!(
        (&job["state"], &job["problem"]["code"]),
        (&"failed".into(), &"store-unavailable".into())
    );
    *place.backend.away.lock().unwrap() = None;
    assert_eq!(place.sent("a", "one").await["state"], "done");
}

#[tokio::test]
async fn a_job_waits_for_whoever_writes_to_the_store() {
    let place = Place::new().await;
    *place.backend.away.lock().unwrap() = Some(ServiceErrorKind::Unavailable);
    let job = place.post("/documents?name=a", "one").await;
    place.until_asked(2).await;
    *place.backend.away.lock().unwrap() = None;
    assert_eq!(place.ended(&job).await["state"], "done");
}

#[tokio::test]
async fn a_job_that_waits_for_its_store_hears_of_the_end() {
    let place = Place::new().await;
    *place.backend.away.lock().unwrap() = Some(ServiceErrorKind::Unavailable);
    let job = place.post("/documents?name=a", "one").await;
    place.until_asked(1).await;
    place.service.end();
    place.service.idle().await;
    assert_eq!(place.ended(&job).await["state"], "stopped");
}

#[tokio::test]
async fn a_source_that_is_never_read_to_its_end_fails_its_job_and_no_other() {
    let place =
        Place::with(|settings| settings.limits.reading_time = Duration::from_millis(500)).await;
    let (held, hangs) = std::sync::mpsc::channel();
    *place.backend.hangs.lock().unwrap() = Some(hangs);
    let job = place.sent("hang", "one").await;
    assert_eq!(job["state"], "failed");
    let detail = job["problem"]["detail"].as_str().unwrap();
    assert!(detail.contains("could not be read within"), "{detail}");
    assert_eq!(place.sent("a", "one").await["state"], "done");
    drop(held);
}

#[tokio::test]
async fn a_job_names_the_first_of_many_faulty_rows_and_counts_them_all() {
    let place = Place::new().await;
    let rows = vec![serde_json::json!({"document_id": "a", "text": 5}); 150];
    let taken = place
        .post("/vectors/sync", serde_json::to_vec(&rows).unwrap())
        .await;
    let result = &place.ended(&taken).await["result"];
    assert_eq!(result["failed_count"], 150);
    assert_eq!(result["failed"].as_array().unwrap().len(), 100);
}

#[tokio::test]
async fn whoever_may_only_read_sends_and_deletes_nothing() {
    let read = "a-key-that-reads-and-is-long-enough";
    let place = Place::with(|settings| {
        let key = ApiKey::new("reader", Role::Read, &read.into());
        settings.keys = ApiKeys::new(vec![key]);
    })
    .await;
    for (method, address) in [
        ("POST", "/documents?name=a"),
        ("POST", "/vectors/sync"),
        ("POST", "/vectors/rebuild"),
        ("DELETE", "/vectors/document/a"),
        ("GET", "/vectors/drift"),
        ("GET", "/jobs"),
        ("GET", "/jobs/1-1"),
    ] {
        let request = Request::builder().method(method).uri(address);
        let request = request.header("x-api-key", read);
        let answer = place.call(request.body(Body::from("x")).unwrap()).await;
        assert_eq!(
            answer.problem(),
            (403, "key-not-allowed".to_owned()),
            "{method} {address}"
        );
    }
}
