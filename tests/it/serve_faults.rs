//! What the service does while something it needs is away: the last good index answers, `/readyz` says why it is old, and
//! nothing has to be restarted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use integration_tests::http::Answer;
use integration_tests::postgres::{Pace, Proxy, TestDatabase};
use integration_tests::{Backend, Entry, Faq, Place, Reply, Service, StubApi, on_every_store};
use serde_json::json;

use crate::support::DIMENSIONS;

/// From the end of a fault to an answer as if it had not been, with room for a busy machine.
const RECOVERY: Duration = Duration::from_secs(60);

fn filled() -> Place {
    let place = Place::hash();
    place.save("faq.csv", &Faq::with_ids(20));
    place.migrate("faq.csv", &[]);
    place
}

fn hits(service: &Service) -> usize {
    let found = service.search(&json!({"text": "карту", "top_k": 100}));
    found["hits"].as_array().unwrap().len()
}

fn is_degraded(ready: &Answer) -> bool {
    ready.status == 200 && ready.json()["status"] == "degraded"
}

fn is_ready(ready: &Answer) -> bool {
    ready.status == 200 && ready.json()["status"] == "ready"
}

/// Says that it is not ready, and why, and answers no question.
#[track_caller]
fn not_ready(service: &Service) -> String {
    let ready = service.get("/readyz");
    assert_eq!(ready.problem(503), "not-ready");
    let asked = service.post("/search", &json!({"text": "карту"}));
    assert_eq!(asked.problem(503), "not-ready");
    let asked = service.post("/predict", &json!({"query": "карту"}));
    assert_eq!(asked.problem(503), "not-ready");
    let _ = service.get("/livez").expect(200);
    ready.json()["detail"].as_str().unwrap().to_owned()
}

/// Serves what it last read, says so, and is itself again soon after `mend`.
#[track_caller]
fn degraded_until(service: &Service, rows: usize, mend: impl FnOnce()) -> Answer {
    let degraded = service.wait_until("degraded", is_degraded);
    let reason = degraded.json()["reason"].as_str().unwrap().to_owned();
    assert!(!reason.is_empty());
    let found = service.search(&json!({"text": "карту", "top_k": 100}));
    assert_eq!(found["hits"].as_array().unwrap().len(), rows);
    assert_eq!(found["degraded"].as_str(), Some(&*reason));
    let figures = service.get("/metrics").expect(200).text();
    assert!(figures.contains("degraded 1"), "{figures}");
    mend();
    let mended = Instant::now();
    let ready = service.wait_until("ready again", is_ready);
    assert!(mended.elapsed() < RECOVERY, "{}", service.log());
    ready
}

#[test]
fn a_store_that_is_missing_is_waited_for() {
    let place = Place::hash();
    place.save("faq.csv", &Faq::with_ids(20));
    let service = Service::begin(&place, &[]);
    let why = not_ready(&service);
    assert!(!why.is_empty());
    place.migrate("faq.csv", &[]);
    service.wait_until("ready", |ready| {
        is_ready(ready) && ready.json()["rows"] == 20
    });
    assert_eq!(hits(&service), 20);
    service.stop();
}

#[test]
fn a_store_that_somebody_else_changes_is_served_as_it_was() {
    let place = filled();
    let holder = rusqlite::Connection::open(place.store()).unwrap();
    holder
        .execute_batch("BEGIN EXCLUSIVE; UPDATE embedding_records SET title = 'half-way'")
        .unwrap();
    let service = Service::start(&place, &[]);
    assert_eq!(hits(&service), 20);
    let found = service.search(&json!({"text": "half-way", "contains": "half-way"}));
    assert_eq!(found["hits"], json!([]));
    drop(holder);
    service.wait_until("ready", is_ready);
    assert_eq!(hits(&service), 20);
    service.stop();
}

#[test]
fn a_file_that_is_no_store_is_refused_at_the_start() {
    let place = filled();
    place.write("data/embeddings.db", vec![b'x'; 8192]);
    for beside in ["data/embeddings.db-wal", "data/embeddings.db-shm"] {
        drop(std::fs::remove_file(place.path(beside)));
    }
    let outcome = place.run(&["serve", "--listen", "127.0.0.1:0"]).expect(2);
    assert!(
        outcome.error().contains("embeddings.db"),
        "{}",
        outcome.error()
    );
}

#[test]
fn a_store_of_a_newer_schema_is_refused_at_the_start_as_every_command_refuses_it() {
    let place = filled();
    rusqlite::Connection::open(place.store())
        .unwrap()
        .execute_batch(
            "INSERT INTO schema_migrations VALUES (99, 'of_another_day', zeroblob(32), 0);
             PRAGMA user_version = 99;",
        )
        .unwrap();
    let outcome = place.run(&["serve", "--listen", "127.0.0.1:0"]).expect(6);
    assert!(outcome.error().contains("99"), "{}", outcome.error());
}

#[test]
fn what_is_read_only_once_is_no_source_of_a_service() {
    let place = filled();
    for source in ["-", "/dev/null"] {
        let args = ["serve", "--listen", "127.0.0.1:0", "--faq-path", source];
        let outcome = place.run(&args).expect(2);
        let told = "no file and no directory";
        assert!(outcome.error().contains(told), "{}", outcome.error());
    }
}

#[test]
fn a_store_that_disappears_or_is_ruined_leaves_the_last_good_index() {
    let place = filled();
    let service = Service::start(&place, &[]);
    let (store, aside) = (place.store(), place.path("data/aside.db"));
    std::fs::rename(&store, &aside).unwrap();
    degraded_until(&service, 20, || std::fs::rename(&aside, &store).unwrap());
    // Something else is put in its place.
    std::fs::rename(&store, &aside).unwrap();
    std::fs::write(&store, vec![b'x'; 65_536]).unwrap();
    degraded_until(&service, 20, || std::fs::rename(&aside, &store).unwrap());
    // And it follows the store again.
    place.save("faq.csv", &Faq::with_ids(23));
    place.json(&["sync", "--faq-path", "faq.csv"]);
    service.wait_until("new rows", |ready| {
        is_ready(ready) && ready.json()["rows"] == 23
    });
    assert_eq!(hits(&service), 23);
    service.stop();
}

#[test]
fn a_restored_store_is_served_as_it_was_when_it_was_saved() {
    let place = filled();
    place.json(&["backup", "saved.db"]);
    place.save("faq.csv", &Faq::with_ids(30));
    place.json(&["sync", "--faq-path", "faq.csv"]);
    let service = Service::start(&place, &[]);
    assert_eq!(hits(&service), 30);
    place.json(&["restore", "saved.db"]);
    service.wait_until("restored", |ready| {
        is_ready(ready) && ready.json()["rows"] == 20
    });
    assert_eq!(hits(&service), 20);
    service.stop();
}

#[test]
fn the_source_in_memory_stands_in_where_that_was_asked_for() {
    let mut place = Place::hash();
    place.save("faq.csv", &Faq::with_ids(20));
    place.set("FAQ_PATH", "faq.csv");
    let service = Service::start(&place, &["--on-store-error", "memory"]);
    let ready = service.get("/readyz").expect(200).json();
    assert_eq!(ready["status"], "degraded");
    assert!(
        ready["reason"].as_str().unwrap().contains("memory"),
        "{ready}"
    );
    assert_eq!(hits(&service), 20);
    // The store comes, with more in it.
    place.save("more.csv", &Faq::with_ids(25));
    place.migrate("more.csv", &[]);
    service.wait_until("ready", |ready| {
        is_ready(ready) && ready.json()["rows"] == 25
    });
    assert_eq!(hits(&service), 25);
    service.stop();
}

/// A place whose store is in a database behind a proxy.
fn behind_a_proxy(database: &TestDatabase) -> (Proxy, Place) {
    let (proxy, url) = Proxy::before(&database.url()).unwrap();
    let mut place = Place::hash();
    place.set("DATABASE_URL", url);
    place.set("STORAGE_BACKEND", "postgres");
    place.unset("POSTGRES_PASSWORD");
    place.save("faq.csv", &Faq::with_ids(20));
    (proxy, place)
}

#[test]
fn a_postgres_server_that_is_down_at_the_start_is_waited_for() {
    let Some(database) = TestDatabase::create() else {
        return;
    };
    let (proxy, place) = behind_a_proxy(&database);
    place.migrate("faq.csv", &[]);
    proxy.pace(Pace::Away);
    let service = Service::begin(&place, &[]);
    not_ready(&service);
    proxy.pace(Pace::AtOnce);
    service.wait_until("ready", is_ready);
    assert_eq!(hits(&service), 20);
    service.stop();
}

#[test]
fn a_postgres_server_that_goes_away_leaves_the_last_good_index() {
    let Some(database) = TestDatabase::create() else {
        return;
    };
    let (proxy, place) = behind_a_proxy(&database);
    place.migrate("faq.csv", &[]);
    let service = Service::start(&place, &[]);
    proxy.pace(Pace::Away);
    degraded_until(&service, 20, || proxy.pace(Pace::AtOnce));
    // What was written meanwhile, and after it, is served.
    place.save("faq.csv", &Faq::with_ids(23));
    place.json(&["sync", "--faq-path", "faq.csv"]);
    service.wait_until("new rows", |ready| {
        is_ready(ready) && ready.json()["rows"] == 23
    });
    // The server does not answer, and does not say so either.
    proxy.pace(Pace::Never);
    assert_eq!(hits(&service), 23);
    proxy.pace(Pace::AtOnce);
    service.wait_until("ready again", is_ready);
    service.stop();
}

fn a_sync_is_served_without_a_restart(backend: Backend) {
    let place = backend.hash();
    let faq = Faq::with_ids(20);
    place.save("faq.csv", &faq);
    place.migrate("faq.csv", &[]);
    let service = Service::start(&place, &[]);
    let first = service.get("/readyz").expect(200).json();
    let edited = faq.edited(|entries| {
        entries.push(Entry {
            id: Some("new".to_owned()),
            ..Entry::number(777)
        });
    });
    place.save("faq.csv", &edited);
    place.json(&["sync", "--faq-path", "faq.csv"]);
    service.wait_for_more_than(first["generation"].as_u64().unwrap());
    let found = service.search(&json!({"text": edited.0[20].text(), "top_k": 1}));
    assert_eq!(found["hits"][0]["id"], "new");
    service.stop();
}

fn a_provider_that_is_away_leaves_what_needs_none(backend: Backend) {
    let away = Arc::new(AtomicBool::new(false));
    let known = Arc::clone(&away);
    let api = StubApi::scripted(DIMENSIONS, Duration::ZERO, move |_, _| {
        match known.load(Ordering::SeqCst) {
            true => Reply::Reset,
            false => Reply::Vectors,
        }
    });
    let place = backend.stub(&api);
    place.save("faq.csv", &Faq::with_ids(20));
    place.migrate("faq.csv", &[]);
    let service = Service::start(&place, &[]);
    let before = service.search(&json!({"text": "карту"}));
    away.store(true, Ordering::SeqCst);
    let new = service.post("/search", &json!({"text": "ещё не спрашивали"}));
    assert_eq!(new.problem(503), "provider-unavailable");
    let told = new.text();
    assert!(
        !told.contains("127.0.0.1") && !told.contains("stub"),
        "{told}"
    );
    let new = service.post("/predict", &json!({"query": "ещё не спрашивали"}));
    assert_eq!(new.problem(503), "provider-unavailable");
    let again = service.search(&json!({"text": "карту"}));
    assert_eq!(again["hits"], before["hits"], "asked before");
    let vector: Vec<f32> = (0..DIMENSIONS)
        .map(|n| f32::from(u8::try_from(n).unwrap()) - 30.5)
        .collect();
    let ready = service.search(&json!({"vector": vector}));
    assert_eq!(ready["hits"].as_array().unwrap().len(), 3);
    away.store(false, Ordering::SeqCst);
    let found = service.search(&json!({"text": "ещё не спрашивали"}));
    assert_eq!(found["hits"].as_array().unwrap().len(), 3);
    service.stop();
}

fn a_question_that_many_ask_at_once_is_paid_for_once(backend: Backend) {
    let api = StubApi::start(DIMENSIONS, Duration::from_millis(200));
    let place = backend.stub(&api);
    place.save("faq.csv", &Faq::with_ids(20));
    place.migrate("faq.csv", &[]);
    let service = Service::start(&place, &[]);
    let before = api.billed().len();
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| drop(service.search(&json!({"text": "один вопрос"}))));
        }
    });
    let _ = service.search(&json!({"text": "один вопрос"}));
    assert_eq!(api.billed().len() - before, 1);
    service.stop();
}

on_every_store!(
    a_sync_is_served_without_a_restart,
    a_provider_that_is_away_leaves_what_needs_none,
    a_question_that_many_ask_at_once_is_paid_for_once,
);
