//! What a request may ask for, who may ask, and what is said when nobody can embed.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request};
use secrecy::SecretString;
use serde_json::json;
use server::{ApiKey, ApiKeys, Role};

use crate::harness::{Answer, Place, document};

async fn place() -> Place {
    let place = Place::new().await;
    place
        .filled(document(
            "manual",
            &["how to block a card", "how to open a deposit"],
        ))
        .await;
    place
}

async fn from(place: &Place, header: &str, value: &str) -> Answer {
    let request = Request::builder()
        .method(Method::POST)
        .uri("/vectors/sync")
        .header(header, value)
        .body(Body::empty());
    place.call(request.unwrap()).await
}

#[tokio::test]
async fn a_batch_of_small_searches_is_bounded_as_a_whole() {
    let place = place().await;
    let search = |number: usize| json!({ "text": format!("question {number}"), "top_k": 1000 });
    let batch: Vec<_> = (0..11).map(search).collect();
    let answer = place
        .post("/search", json!({ "batch": batch }).to_string())
        .await;
    assert_eq!(answer.problem(), (400, "invalid-request".to_owned()));
    let answer = place
        .post("/search", json!({ "batch": batch[..10] }).to_string())
        .await;
    assert_eq!(answer.status, 200);
    let filtered = |number: usize| json!({ "text": "card", "contains": format!("text {number}") });
    let batch: Vec<_> = (0..9).map(filtered).collect();
    let answer = place
        .post("/search", json!({ "batch": batch }).to_string())
        .await;
    assert_eq!(answer.problem(), (400, "invalid-request".to_owned()));
    assert_eq!(place.post("/search", r#"{"batch": []}"#).await.status, 400);
}

#[tokio::test]
async fn a_comparison_with_nothing_is_no_search_without_a_filter() {
    let place = place().await;
    for filters in [json!({ "year": {} }), json!({ "year": { ">=": null } })] {
        let body = json!({ "text": "card", "filters": filters });
        let answer = place.post("/search", body.to_string()).await;
        assert_eq!(
            answer.problem(),
            (400, "invalid-request".to_owned()),
            "{filters}"
        );
    }
    let signs = json!({ "=": 1, "!=": 2, "<": 3, "<=": 4, ">": 5, ">=": 6 });
    let keys: serde_json::Map<_, _> = (0..50)
        .map(|key| (key.to_string(), signs.clone()))
        .collect();
    let body = json!({ "text": "card", "filters": keys });
    let answer = place.post("/search", body.to_string()).await;
    assert!(
        answer.json()["detail"]
            .as_str()
            .unwrap()
            .contains("300 conditions")
    );
}

#[tokio::test]
async fn without_a_key_no_page_of_another_origin_writes() {
    let place = place().await;
    for (header, value) in [
        ("origin", "https://evil.example"),
        ("sec-fetch-site", "cross-site"),
        ("host", "rebound.example:8080"),
    ] {
        let answer = from(&place, header, value).await;
        assert_eq!(
            answer.problem(),
            (403, "foreign-page".to_owned()),
            "{header}"
        );
    }
    for host in ["127.0.0.1:8080", "localhost", "[::1]:8080"] {
        let answer = from(&place, "host", host).await;
        assert_eq!(answer.problem().1, "not-configured", "{host}");
    }
}

#[tokio::test]
async fn with_keys_each_opens_what_its_role_does() {
    let keys = ApiKeys::new(vec![
        ApiKey::new("reader", Role::Read, &SecretString::from("read-key-1")),
        ApiKey::new("operator", Role::Admin, &SecretString::from("admin-key-1")),
    ]);
    let place = Place::with(|settings| settings.keys = keys).await;
    let call = async |method: Method, address: &str, key: Option<&str>| {
        let mut request = Request::builder().method(method).uri(address);
        if let Some(key) = key {
            request = request.header("X-API-Key", key);
        }
        place.call(request.body(Body::empty()).unwrap()).await
    };
    let refused = call(Method::GET, "/models", None).await;
    assert_eq!(refused.problem(), (401, "key-missing".to_owned()));
    assert!(refused.headers.contains_key("www-authenticate"));
    let refused = call(Method::GET, "/models", Some("read-key-2")).await;
    assert_eq!(refused.problem(), (401, "key-wrong".to_owned()));
    assert_eq!(
        call(Method::GET, "/models", Some("read-key-1"))
            .await
            .status,
        200
    );
    let refused = call(Method::POST, "/vectors/rebuild", Some("read-key-1")).await;
    assert_eq!(refused.problem(), (403, "key-not-allowed".to_owned()));
    let done = call(Method::POST, "/vectors/rebuild", Some("admin-key-1")).await;
    assert_eq!(done.status, 200);
    assert_eq!(call(Method::GET, "/livez", None).await.status, 200);
}

#[tokio::test]
async fn a_provider_that_says_nothing_is_away_within_the_time_of_the_request() {
    let place =
        Place::with(|settings| settings.limits.request_time = Duration::from_millis(300)).await;
    place
        .filled(document("manual", &["how to block a card"]))
        .await;
    place.backend.embedder.stall();
    let answer = place.post("/search", r#"{"text": "card"}"#).await;
    assert_eq!(answer.problem(), (503, "provider-unavailable".to_owned()));
    assert!(answer.headers.contains_key("retry-after"));
    assert_eq!(place.get("/readyz").await.json()["status"], "degraded");
    place.backend.embedder.recover();
    assert_eq!(
        place.post("/search", r#"{"text": "card"}"#).await.status,
        200
    );
    assert_eq!(place.get("/readyz").await.json()["status"], "ready");
}

#[tokio::test]
async fn an_answer_that_nothing_supports_is_none() {
    let place = Place::with(|settings| settings.confidence = Some(0.999)).await;
    let ask = async || {
        place
            .post("/predict", r#"{"query": "how to fly"}"#)
            .await
            .json()
    };
    place
        .filled(document("manual", &["how to block a card"]))
        .await;
    let body = ask().await;
    assert_eq!(body["prediction"]["failure_mode"], "low_confidence");
    assert_eq!(body["prediction"]["answer"], "");
    assert_eq!(body["prediction"]["citations"].as_array().unwrap().len(), 1);
    assert!(body["latency_ms"].is_u64() && body["model_version"].is_string());
}
