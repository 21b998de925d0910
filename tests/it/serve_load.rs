//! Many at once: nothing is lost at the end, and nothing grows.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use integration_tests::http::{Connection, request};
use integration_tests::{Backend, Faq, Place, Service, on_every_store};
use serde_json::json;

/// How long the load lasts, in seconds; a minute by `SMART_SUPPORT_LOAD_SECONDS=60`, as before a release.
const SECONDS_VARIABLE: &str = "SMART_SUPPORT_LOAD_SECONDS";
const CONNECTIONS: usize = 200;

fn filled(backend: Backend) -> Place {
    let place = backend.hash();
    place.save("faq.csv", &Faq::with_ids(200));
    place.migrate("faq.csv", &[]);
    place
}

fn resident(service: &Service) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", service.process())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn search(number: usize) -> Vec<u8> {
    let body = json!({"text": format!("карту {}", number % 50), "top_k": 5}).to_string();
    request("POST", "/search", &[], Some(body.as_bytes()))
}

#[test]
fn two_hundred_connections_are_answered_and_memory_does_not_grow() {
    let seconds = std::env::var(SECONDS_VARIABLE).ok();
    let seconds: u64 = seconds.map_or(10, |seconds| seconds.parse().unwrap());
    let place = filled(Backend::Sqlite);
    let service = Service::start(&place, &[]);
    let (answered, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (warm, end) = std::thread::scope(|scope| {
        for number in 0..CONNECTIONS {
            let (service, answered, over) = (&service, &answered, &over);
            scope.spawn(move || {
                let mut connection = service.connect();
                let mut turn = number;
                while !over.load(Ordering::SeqCst) {
                    let answer = connection.ask(&search(turn)).unwrap();
                    // Told to come back is an answer too.
                    assert!(
                        answer.status == 200 || answer.status == 503,
                        "{}",
                        answer.text()
                    );
                    if answer.status == 200 {
                        answered.fetch_add(1, Ordering::SeqCst);
                    }
                    turn += 1;
                }
            });
        }
        // Everything has been used once when a third of the time is over.
        std::thread::sleep(Duration::from_secs(seconds) / 3);
        let warm = resident(&service);
        std::thread::sleep(Duration::from_secs(seconds) * 2 / 3);
        let end = resident(&service);
        over.store(true, Ordering::SeqCst);
        (warm, end)
    });
    assert!(answered.load(Ordering::SeqCst) > CONNECTIONS);
    assert!(end * 10 <= warm * 11, "{warm} KiB grew to {end} KiB");
    service.stop();
}

fn told_to_end_it_answers_what_it_accepted(backend: Backend) {
    let place = filled(backend);
    let service = Service::start(&place, &[]);
    let answered = AtomicUsize::new(0);
    let told = AtomicBool::new(false);
    let took = std::thread::scope(|scope| {
        for number in 0..32 {
            let (service, answered, told) = (&service, &answered, &told);
            scope.spawn(move || {
                let mut connection = service.connect();
                for turn in number.. {
                    let before = told.load(Ordering::SeqCst);
                    if connection.say(&search(turn)).is_err() {
                        break;
                    }
                    match connection.answer() {
                        Ok(answer) => {
                            // One that came after the end was told to try elsewhere.
                            if answer.status != 200 {
                                assert!(told.load(Ordering::SeqCst), "{}", answer.text());
                                assert_eq!(answer.problem(503), "shutting-down");
                            }
                            answered.fetch_add(1, Ordering::SeqCst);
                        }
                        // The connection was idle when the end came; nothing that was sent before it is lost.
                        Err(error) => {
                            assert!(before || told.load(Ordering::SeqCst), "{error}");
                            break;
                        }
                    }
                }
            });
        }
        while answered.load(Ordering::SeqCst) < 200 {
            std::thread::sleep(Duration::from_millis(5));
        }
        told.store(true, Ordering::SeqCst);
        service.terminate();
        Instant::now()
    });
    let log = service.ended();
    assert!(took.elapsed() < Duration::from_secs(20), "{log}");
    assert!(log.contains("ended"), "{log}");
}

fn an_answer_that_is_being_made_is_not_lost_at_the_end(backend: Backend) {
    use integration_tests::{Reply, StubApi};
    use std::sync::mpsc::channel;
    use std::sync::{Arc, Mutex};
    let (asked, heard) = channel::<()>();
    let (go, gone) = channel::<()>();
    let (asked, gone) = (Mutex::new(asked), Arc::new(Mutex::new(gone)));
    let question = "долгий вопрос";
    let api = StubApi::scripted(
        crate::support::DIMENSIONS,
        Duration::ZERO,
        move |_, texts| {
            if texts.iter().any(|text| text.contains(question)) {
                asked.lock().unwrap().send(()).unwrap();
                let _ = gone.lock().unwrap().recv();
            }
            Reply::Vectors
        },
    );
    let place = backend.stub(&api);
    place.save("faq.csv", &Faq::with_ids(20));
    place.migrate("faq.csv", &[]);
    let service = Service::start(&place, &[]);
    let mut connection = Connection::to(service.address()).unwrap();
    let body = json!({"text": question}).to_string();
    connection
        .say(&request("POST", "/search", &[], Some(body.as_bytes())))
        .unwrap();
    heard.recv_timeout(Duration::from_secs(60)).unwrap();
    service.terminate();
    // It has heard of its end when it takes no further connection.
    let until = Instant::now() + Duration::from_secs(60);
    while Connection::to(service.address()).is_ok() {
        assert!(Instant::now() < until, "{}", service.log());
        std::thread::sleep(Duration::from_millis(5));
    }
    go.send(()).unwrap();
    assert_eq!(connection.answer().unwrap().status, 200);
    service.ended();
}

on_every_store!(
    told_to_end_it_answers_what_it_accepted,
    an_answer_that_is_being_made_is_not_lost_at_the_end,
);
