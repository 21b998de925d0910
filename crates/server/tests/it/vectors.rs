//! What is stored by document: looked at, deleted, synced, and brought into step.

use std::sync::Arc;
use std::time::Duration;

use server::ServiceErrorKind;
use storage_core::{CollectionName, EmbeddingStore, RunId};
use sync_engine::remove_document;
use tower::ServiceExt;

use crate::harness::{Place, document, faq};

#[tokio::test]
async fn stats_and_documents_have_the_keys_that_clients_know() {
    let place = Place::new().await;
    place
        .sent("b", &format!("one\n\n{}", "ж".repeat(250)))
        .await;
    place.sent("a%2Fmanual.pdf", "two").await;
    let stats = place.get("/vectors/stats").await.json();
    assert_eq!(
        stats,
        serde_json::json!({
            "total_vectors": 3,
            "total_documents": 2,
            "per_document": [
                {"document_id": "a/manual.pdf", "vector_count": 1, "total_chars": 3},
                {"document_id": "b", "vector_count": 2, "total_chars": 253},
            ],
        })
    );
    let body = place.get("/vectors/document/b").await.json();
    assert_eq!(
        (&body["document_id"], &body["chunk_count"]),
        (&"b".into(), &2.into())
    );
    let chunk = &body["chunks"][1];
    let mut keys: Vec<&String> = chunk.as_object().unwrap().keys().collect();
    keys.sort();
    assert_eq!(
        keys,
        [
            "chunk_index",
            "created_at",
            "faiss_index",
            "id",
            "text_length",
            "text_preview"
        ]
    );
    assert_eq!(
        (&chunk["chunk_index"], &chunk["faiss_index"]),
        (&1.into(), &2.into())
    );
    assert_eq!(chunk["text_length"], 250);
    assert_eq!(chunk["text_preview"].as_str().unwrap().chars().count(), 200);
    assert!(chunk["id"].as_u64().unwrap() < 1 << 53);
    // An id stays when others come and go, a position does not.
    place.delete("/vectors/document/a%2Fmanual.pdf").await;
    let now = place.get("/vectors/document/b").await.json();
    assert_eq!(now["chunks"][1]["id"], chunk["id"]);
    assert_eq!(now["chunks"][1]["faiss_index"], 1);
    for address in ["/vectors/document/c", "/vectors/document/a%2Fmanual.pdf"] {
        assert_eq!(
            place.get(address).await.problem(),
            (404, "no-such-document".to_owned())
        );
    }
    assert_eq!(place.get("/vectors/document/%ff").await.problem().0, 400);
    assert_eq!(
        place.get("/vectors/stats?collection=x").await.problem().1,
        "no-such-collection"
    );
}

#[tokio::test]
async fn a_deleted_document_is_not_found_by_the_next_search() {
    let place = Place::new().await;
    place.sent("a", "one\n\ntwo").await;
    place.sent("b", "one").await;
    let answer = place.delete("/vectors/document/a").await;
    assert_eq!(
        answer.json(),
        serde_json::json!({"document_id": "a", "deleted": 2, "source": "upload:service", "returns": false, "served": true})
    );
    assert_eq!(place.found("one").await, ["b:0"]);
    assert_eq!(
        place.delete("/vectors/document/a").await.problem(),
        (404, "no-such-document".to_owned())
    );
}

#[tokio::test]
async fn a_document_that_a_sync_would_bring_back_is_said_to_return() {
    let place = Place::new().await;
    place.filled(document("manual", &["one"])).await;
    let answer = place.delete("/vectors/document/manual").await.json();
    assert_eq!(
        (&answer["source"], &answer["returns"]),
        (&"file:manuals".into(), &true.into())
    );
}

#[tokio::test]
async fn a_deletion_does_not_wait_for_a_job_that_takes_long() {
    let place = Place::with(|settings| {
        settings.limits.request_time = std::time::Duration::from_millis(400);
    })
    .await;
    place.sent("a", "one").await;
    let held = place.backend.gate.lock().await;
    let job = place.post("/documents?name=b", "two").await;
    // The job holds the store from the moment on in which it asks for it.
    place.until_asked(2).await;
    let answer = place.delete("/vectors/document/a").await;
    assert_eq!(answer.problem(), (503, "store-unavailable".to_owned()));
    assert!(answer.headers.contains_key("retry-after"));
    drop(held);
    assert_eq!(place.ended(&job).await["state"], "done");
    assert_eq!(place.delete("/vectors/document/a").await.status, 200);
}

#[tokio::test]
async fn a_deletion_whose_client_has_gone_is_done_before_the_service_ends() {
    let place = Place::new().await;
    place.sent("a", "one").await;
    let held = place.backend.gate.lock().await;
    let request = axum::http::Request::delete("/vectors/document/a");
    let request = request.body(axum::body::Body::empty()).unwrap();
    let client = tokio::spawn(place.router.clone().oneshot(request));
    place.until_asked(2).await;
    client.abort();
    assert!(client.await.unwrap_err().is_cancelled());
    place.service.end();
    drop(held);
    place.service.idle().await;
    let stored = place.backend.store.fingerprints(&faq()).await.unwrap().1;
    assert!(stored.is_empty(), "{stored:?}");
}

#[tokio::test]
async fn a_deletion_needs_no_embedder() {
    let place = Place::new().await;
    place.sent("a", "one").await;
    *place.backend.without_embedder.lock().unwrap() = true;
    assert_eq!(place.sent("b", "two").await["state"], "failed");
    assert_eq!(place.delete("/vectors/document/a").await.status, 200);
}

#[tokio::test]
async fn metadata_is_taken_in_its_three_forms_and_stored_texts_cost_nothing() {
    let place = Place::new().await;
    let list = r#"[
        {"document_id": 1, "chunk_index": 0, "text": "one", "faiss_index": 0, "created_at": "2025-12-21T10:30:00"},
        {"document_id": 1, "chunk_index": 1, "text": "two", "faiss_index": 1}
    ]"#;
    let job = place.ended(&place.post("/vectors/sync", list).await).await;
    assert_eq!(
        (&job["kind"], &job["result"]["embedded"]),
        (&"vectors".into(), &2.into()),
        "{job}"
    );
    let chunk = &place.get("/vectors/document/1").await.json()["chunks"][0];
    assert_eq!(chunk["created_at"], "2025-12-21T10:30:00");

    let object = r#"{"version": 1, "embedding_model": "all-MiniLM-L6-v2", "chunks": [
        {"document_id": 1, "chunk_index": 0, "text": "two", "faiss_index": 0},
        {"document_id": "x", "text": "three", "faiss_index": 1}
    ]}"#;
    let job = place
        .ended(&place.post("/vectors/sync", object).await)
        .await;
    let result = &job["result"];
    assert_eq!(
        (&result["synced"], &result["embedded"], &result["deleted"]),
        (&2.into(), &1.into(), &1.into()),
        "{job}"
    );

    let places = r#"{"0": {"document_id": "x", "text": "three"}, "1": {"document_id": 2}}"#;
    let job = place
        .ended(&place.post("/vectors/sync", places).await)
        .await;
    let result = &job["result"];
    assert_eq!(
        (&result["embedded"], &result["failed"][0]["row"]),
        (&0.into(), &2.into()),
        "{job}"
    );
    assert_eq!(place.paid(), 3);
    let mut found = place.found("one").await;
    found.sort();
    assert_eq!(found, ["1:0", "x:0"], "documents that are not named stay");
}

#[tokio::test]
async fn a_faulty_row_does_not_delete_the_chunk_that_it_was_of() {
    let place = Place::new().await;
    place.sent("1", "one\n\ntwo").await;
    let body = r#"[{"document_id": 1, "chunk_index": 0, "text": "one", "faiss_index": 0},
                   {"document_id": 1, "chunk_index": 1, "text": 7, "faiss_index": 1}]"#;
    let job = place.ended(&place.post("/vectors/sync", body).await).await;
    assert_eq!(
        (&job["result"]["deleted"], &job["result"]["withheld"]),
        (&0.into(), &1.into()),
        "{job}"
    );
    assert_eq!(place.chunks("1").await, ["one", "two"]);
}

#[tokio::test]
async fn what_an_import_brought_is_taken_over_by_a_sync_of_its_metadata() {
    let place = Place::new().await;
    let mut imported = document("7", &["one", "two"]);
    imported.kind = "faiss".to_owned();
    place.filled(imported).await;
    let body = r#"[{"document_id": 7, "chunk_index": 0, "text": "one", "faiss_index": 0}]"#;
    let job = place.ended(&place.post("/vectors/sync", body).await).await;
    assert_eq!(
        (&job["result"]["embedded"], &job["result"]["deleted"]),
        (&0.into(), &1.into()),
        "{job}"
    );
    let answer = place.delete("/vectors/document/7").await.json();
    assert_eq!(answer["source"], "upload:service");
}

#[tokio::test]
async fn without_rows_the_configured_source_is_synced() {
    let place = Place::new().await;
    for body in ["", " ", r#"{"source": true}"#] {
        let answer = place.post("/vectors/sync", body).await;
        assert_eq!(
            answer.problem(),
            (409, "not-configured".to_owned()),
            "{body}"
        );
    }
    *place.backend.source.lock().unwrap() = Some(document("manual", &["one", "two"]));
    let job = place.ended(&place.post("/vectors/sync", "").await).await;
    assert_eq!(
        (&job["kind"], &job["result"]["synced"]),
        (&"sync".into(), &2.into()),
        "{job}"
    );
    assert_eq!(place.found("one").await[0], "manual:0");
    // A source that is cut down to a tenth is a broken export: the guard holds here too.
    *place.backend.source.lock().unwrap() = Some(document("manual", &[]));
    let job = place.ended(&place.post("/vectors/sync", "").await).await;
    assert_eq!(
        (&job["state"], &job["problem"]["code"]),
        (&"failed".into(), &"refused".into())
    );
    for body in ["{", "7", r#"{"chunks": 7}"#, "\"rows\""] {
        let answer = place.post("/vectors/sync", body).await;
        assert_eq!(
            answer.problem(),
            (400, "invalid-request".to_owned()),
            "{body}"
        );
    }
}

#[tokio::test]
async fn drift_names_the_rows_and_a_rebuild_brings_them_into_step() {
    let place = Place::new().await;
    place.sent("a", "one\n\ntwo").await;
    place.sent("b", "three").await;
    let drift = place.get("/vectors/drift?vectors=true").await.json();
    assert_eq!(drift["in_step"], true, "{drift}");
    // Behind the service's back: nobody told it.
    let store = Arc::clone(&place.backend.store);
    let run = RunId::new("elsewhere").unwrap();
    let clock = || storage_core::Timestamp(0);
    remove_document(&*store, &clock, &run, &faq(), "b")
        .await
        .unwrap();
    let mut others = document("c", &["four"]);
    others.name = "others".to_owned();
    place.fill(others).await;
    let drift = place.get("/vectors/drift").await.json();
    let collection = &drift["collections"][0];
    assert_eq!(drift["in_step"], false);
    assert_eq!(
        collection["ghost"]["rows"],
        serde_json::json!([{"document_id": "b", "chunk_index": 0}])
    );
    assert_eq!(
        collection["missing"]["rows"],
        serde_json::json!([{"document_id": "c", "chunk_index": 0}])
    );
    assert_eq!(collection["stale"]["count"], 0);
    let rebuilt = place.post("/vectors/rebuild", "").await.json();
    assert_eq!(rebuilt["collections"][0]["ghost"]["count"], 1, "{rebuilt}");
    assert_eq!(rebuilt["collections"][0]["missing"]["count"], 1);
    assert_eq!(place.get("/vectors/drift").await.json()["in_step"], true);
    let again = place.post("/vectors/rebuild", "").await.json();
    assert_eq!(
        (&again["in_step"], &again["collections"][0]["rows"]),
        (&true.into(), &3.into())
    );
}

#[tokio::test]
async fn a_rebuild_of_a_store_that_is_away_says_so_and_leaves_the_last_good_index() {
    let place = Place::new().await;
    place.sent("a", "one").await;
    *place.backend.away.lock().unwrap() = Some(ServiceErrorKind::Unavailable);
    let answer = place.post("/vectors/rebuild", "").await;
    assert_eq!(answer.problem(), (503, "store-unavailable".to_owned()));
    assert_eq!(place.found("one").await, ["a:0"]);
    assert_eq!(place.get("/vectors/drift").await.problem().0, 503);
    *place.backend.away.lock().unwrap() = None;
    assert_eq!(place.post("/vectors/rebuild", "").await.status, 200);
}

#[tokio::test]
async fn a_rebuild_and_a_comparison_have_a_deadline_of_their_own() {
    let place = Place::with(|settings| {
        settings.limits.request_time = Duration::ZERO;
        settings.limits.review_time = Duration::from_secs(60);
    })
    .await;
    assert_eq!(place.get("/vectors/drift").await.status, 200);
    assert_eq!(place.post("/vectors/rebuild", "").await.status, 200);
    place.service.end();
}

#[tokio::test]
async fn a_collection_that_is_not_there_yet_is_made_by_the_first_document() {
    let place = Place::new().await;
    let taken = place
        .post("/documents?name=a&collection=manuals", "one")
        .await;
    assert_eq!(place.ended(&taken).await["collection"], "manuals");
    assert!(CollectionName::new("manuals").is_ok());
    let stats = place.get("/vectors/stats?collection=manuals").await.json();
    assert_eq!(stats["total_vectors"], 1);
    let answer = place.delete("/vectors/document/a?collection=manuals").await;
    assert_eq!(answer.json()["deleted"], 1);
}

#[tokio::test]
async fn a_collection_that_cannot_be_is_one_that_is_not_there() {
    let place = Place::new().await;
    let no_such = (404, "no-such-collection".to_owned());
    for address in [
        "/documents?name=a&collection=%07",
        "/vectors/sync?collection=%07",
    ] {
        assert_eq!(place.post(address, "one").await.problem(), no_such);
    }
    let answer = place.get("/vectors/stats?collection=%07").await;
    assert_eq!(answer.problem(), no_such);
}

#[tokio::test]
async fn what_may_be_synced_is_described_as_it_is_taken() {
    let place = Place::new().await;
    let described = place.get("/openapi.json").await.json();
    let body = &described["paths"]["/vectors/sync"]["post"]["requestBody"];
    assert_eq!(body["required"], false, "{body}");
    let schema = &body["content"]["application/json"]["schema"];
    assert_eq!(
        schema["$ref"], "#/components/schemas/SyncRequest",
        "{schema}"
    );
    let schemas = &described["components"]["schemas"];
    let row = &schemas["SyncRequest"]["oneOf"][0]["items"];
    assert!(row.get("type").is_none(), "{row}");
    assert_eq!(schemas["SyncObject"].get("required"), None);
    // Rows that are wrong are the job's to name.
    for body in [
        r#"[5, {"text": {}}]"#,
        r#"{"": {"text": {}}}"#,
        r#"{"7": 5}"#,
    ] {
        let taken = place.post("/vectors/sync", body).await;
        assert_eq!(place.ended(&taken).await["state"], "done", "{body}");
    }
    for body in ["null", "5", r#"{"chunks": null}"#, r#"{"metric": 5}"#] {
        let answer = place.post("/vectors/sync", body).await;
        assert_eq!(
            answer.problem(),
            (400, "invalid-request".to_owned()),
            "{body}"
        );
    }
}

#[tokio::test]
async fn every_address_is_described_with_all_its_methods() {
    let place = Place::new().await;
    let described = place.get("/openapi.json").await.json();
    for (path, methods) in [
        ("/documents", &["post"][..]),
        ("/jobs", &["get"]),
        ("/jobs/{id}", &["get"]),
        ("/vectors/stats", &["get"]),
        ("/vectors/document/{id}", &["get", "delete"]),
        ("/vectors/sync", &["post"]),
        ("/vectors/drift", &["get"]),
        ("/vectors/rebuild", &["post"]),
    ] {
        for method in methods {
            let operation = &described["paths"][path][method];
            assert!(
                operation["responses"]["default"].is_object(),
                "{method} {path}"
            );
            assert_eq!(
                operation["security"][0]["key"],
                serde_json::json!([]),
                "{method} {path}"
            );
        }
    }
    let answer = place.post("/vectors/document/a", "").await;
    assert_eq!(answer.problem(), (405, "method-not-allowed".to_owned()));
    let allowed = answer.headers["allow"].to_str().unwrap();
    assert!(
        allowed.contains("GET") && allowed.contains("DELETE"),
        "{allowed}"
    );
}
