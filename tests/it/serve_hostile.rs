//! Clients that mean harm, or know no better: each is told what is wrong or cut off, and the service goes on.

use std::time::{Duration, Instant};

use integration_tests::http::{Connection, request};
use integration_tests::{Backend, Faq, Place, Service};
use serde_json::json;

/// After this a client that only drips is gone, with room for a busy machine.
const CUT_OFF: Duration = Duration::from_secs(40);
const MIB: usize = 1 << 20;

fn place() -> Place {
    let place = Backend::Sqlite.hash();
    place.save("faq.csv", &Faq::with_ids(20));
    place.migrate("faq.csv", &[]);
    place
}

/// After whatever was done to it, it answers as before, and nothing panicked.
fn is_well(service: Service) {
    let found = service.search(&json!({"text": "карту"}));
    assert_eq!(found["hits"].as_array().unwrap().len(), 3);
    service.stop();
}

/// Says one byte each quarter of a second until the other side ends the connection.
fn drip(mut connection: Connection, bytes: &[u8]) -> (Duration, Vec<u8>) {
    let started = Instant::now();
    for byte in bytes {
        if connection.say(&[*byte]).is_err() || started.elapsed() > CUT_OFF {
            break;
        }
        std::thread::sleep(Duration::from_millis(250));
    }
    let took = started.elapsed();
    (took, connection.rest())
}

#[test]
fn a_client_that_drips_is_cut_off() {
    let place = place();
    let service = Service::start(&place, &[]);
    let mut headers = b"POST /search HTTP/1.1\r\nHost: localhost\r\nX-Slow: ".to_vec();
    headers.resize(4096, b'a');
    let body = vec![b' '; 4096];
    std::thread::scope(|scope| {
        let slow_headers = scope.spawn(|| drip(service.connect(), &headers));
        let slow_body = scope.spawn(|| {
            let mut connection = service.connect();
            let head = "POST /search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                        Content-Length: 4096\r\n\r\n";
            connection.say(head.as_bytes()).unwrap();
            drip(connection, &body)
        });
        // One that says nothing at all.
        let silent = scope.spawn(|| {
            let started = Instant::now();
            let rest = service.connect().rest();
            (started.elapsed(), rest)
        });
        let (took, _) = slow_headers.join().unwrap();
        assert!(took < CUT_OFF, "slow headers: {took:?}");
        let (took, said) = slow_body.join().unwrap();
        assert!(took < CUT_OFF, "a slow body: {took:?}");
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(
            said.is_empty() || said.contains("deadline-exceeded"),
            "{said}"
        );
        let (took, _) = silent.join().unwrap();
        assert!(took < CUT_OFF, "silence: {took:?}");
    });
    is_well(service);
}

#[test]
fn a_body_that_says_it_is_too_large_is_not_read() {
    let place = place();
    let service = Service::start(&place, &[]);
    for length in ["2147483648", "1048577"] {
        let mut connection = service.connect();
        let head = format!(
            "POST /search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        let answer = connection.ask(head.as_bytes()).unwrap();
        assert_eq!(answer.problem(413), "too-large");
    }
    // More digits than a number has is no request.
    let mut connection = service.connect();
    let head = "POST /search HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999999\r\n\r\n";
    assert_eq!(connection.ask(head.as_bytes()).unwrap().status, 400);
    is_well(service);
}

#[test]
fn a_body_in_pieces_is_counted_while_it_comes() {
    let place = place();
    let service = Service::start(&place, &[]);
    let mut connection = service.connect();
    let head = "POST /search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    connection.say(head.as_bytes()).unwrap();
    let piece = [b"10000\r\n".as_slice(), &vec![b' '; 65_536], b"\r\n"].concat();
    for _ in 0..64 {
        // It need not listen to the end.
        if connection.say(&piece).is_err() {
            break;
        }
    }
    match connection.answer() {
        Ok(answer) => assert_eq!(answer.problem(413), "too-large"),
        // The answer may be lost when there is more on its way than is read.
        Err(error) => assert!(!matches!(error.kind(), std::io::ErrorKind::TimedOut)),
    }
    is_well(service);
}

#[test]
fn too_many_headers_and_too_long_ones_are_refused() {
    let place = place();
    let service = Service::start(&place, &[]);
    let many: String = (0..10_000).map(|n| format!("X-{n}: y\r\n")).collect();
    let long = format!("X-Long: {}\r\n", "y".repeat(MIB));
    for headers in [many, long] {
        let mut connection = service.connect();
        // It need not listen to the end.
        drop(
            connection
                .say(format!("GET /livez HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").as_bytes()),
        );
        match connection.answer() {
            Ok(answer) => assert_eq!(answer.status, 431, "{}", answer.text()),
            Err(error) => assert!(!matches!(error.kind(), std::io::ErrorKind::TimedOut)),
        }
    }
    let mut connection = service.connect();
    let few: String = (0..50).map(|n| format!("X-{n}: y\r\n")).collect();
    let answer =
        connection.ask(format!("GET /livez HTTP/1.1\r\nHost: localhost\r\n{few}\r\n").as_bytes());
    assert_eq!(answer.unwrap().status, 200);
    is_well(service);
}

#[test]
fn requests_that_come_at_once_are_answered_in_their_order() {
    let place = place();
    let service = Service::start(&place, &[]);
    let mut connection = service.connect();
    let mut bytes = Vec::new();
    for number in 0..50 {
        let id = format!("pipe-{number}");
        let body = format!("{{\"text\":\"карту\",\"top_k\":{}}}", number % 5 + 1);
        bytes.extend(request(
            "POST",
            "/search",
            &[("X-Request-Id", &id)],
            Some(body.as_bytes()),
        ));
    }
    connection.say(&bytes).unwrap();
    for number in 0..50 {
        let answer = connection.answer().unwrap().expect(200);
        assert_eq!(
            answer.header("x-request-id"),
            Some(&*format!("pipe-{number}"))
        );
        let hits = answer.json()["hits"].as_array().unwrap().len();
        assert_eq!(hits, number % 5 + 1);
    }
    is_well(service);
}

#[test]
fn what_is_refused_leaves_nothing_on_the_connection() {
    let place = place();
    let service = Service::start(&place, &[]);
    // A body that is not read must not be taken for the next request.
    let smuggled = request("GET", "/livez", &[], None);
    for path in ["/nowhere", "/livez", "/search"] {
        let mut connection = service.connect();
        let wrong = request(
            "POST",
            path,
            &[("Content-Type", "text/plain")],
            Some(&smuggled),
        );
        let first = connection.ask(&wrong).unwrap();
        assert!(first.status >= 400, "{path}");
        let next = connection.ask(&request("GET", "/nowhere", &[], None));
        // Either the connection is closed, or the next answer is the one to the next request.
        if let Ok(next) = next {
            assert_eq!(next.status, 404, "{path}");
        }
    }
    is_well(service);
}

#[test]
fn bodies_that_are_no_request_are_told_so() {
    let place = place();
    let service = Service::start(&place, &[]);
    let deep = |depth: usize| {
        format!(
            "{{\"text\":\"x\",\"filters\":{}1{}}}",
            "{\"a\":".repeat(depth),
            "}".repeat(depth)
        )
    };
    let long = "y".repeat(MIB - 100);
    let terms = |count: usize| {
        let terms: Vec<String> = (0..count).map(|n| format!("\"k{n}=1\"")).collect();
        format!("{{\"text\":\"x\",\"filters\":[{}]}}", terms.join(","))
    };
    let numbers =
        |of: &str, count: usize| format!("{{\"vector\":[{}]}}", vec![of; count].join(","));
    let dimensions =
        service.get("/models").expect(200).json()["collections"][0]["model"]["dimensions"]
            .as_u64()
            .unwrap();
    let all = usize::try_from(dimensions).unwrap();
    let batch = |count: usize| {
        format!(
            "{{\"batch\":[{}]}}",
            vec!["{\"text\":\"x\"}"; count].join(",")
        )
    };
    let cases: &[(&str, Vec<u8>, &str)] = &[
        ("nothing", vec![], "invalid-request"),
        ("no JSON", b"{".to_vec(), "invalid-request"),
        ("another type", b"[]".to_vec(), "invalid-request"),
        ("null", b"null".to_vec(), "invalid-request"),
        (
            "invalid UTF-8",
            b"{\"text\":\"\xff\xfe\"}".to_vec(),
            "invalid-request",
        ),
        (
            "a lone surrogate",
            br#"{"text":"\ud800"}"#.to_vec(),
            "invalid-request",
        ),
        (
            "both",
            br#"{"text":"x","vector":[1]}"#.to_vec(),
            "invalid-request",
        ),
        ("neither", b"{}".to_vec(), "invalid-request"),
        (
            "an empty question",
            br#"{"text":"  "}"#.to_vec(),
            "invalid-request",
        ),
        (
            "an unknown field",
            br#"{"text":"x","where":"1=1"}"#.to_vec(),
            "invalid-request",
        ),
        ("depth 1,000", deep(1000).into_bytes(), "invalid-request"),
        (
            "a long question",
            format!("{{\"text\":\"{long}\"}}").into_bytes(),
            "invalid-request",
        ),
        (
            "top_k 0",
            br#"{"text":"x","top_k":0}"#.to_vec(),
            "invalid-request",
        ),
        (
            "top_k 1001",
            br#"{"text":"x","top_k":1001}"#.to_vec(),
            "invalid-request",
        ),
        (
            "top_k -1",
            br#"{"text":"x","top_k":-1}"#.to_vec(),
            "invalid-request",
        ),
        (
            "top_k 2^63",
            br#"{"text":"x","top_k":9223372036854775808}"#.to_vec(),
            "invalid-request",
        ),
        (
            "top_k 1.5",
            br#"{"text":"x","top_k":1.5}"#.to_vec(),
            "invalid-request",
        ),
        (
            "a threshold of 2",
            br#"{"text":"x","threshold":2}"#.to_vec(),
            "invalid-request",
        ),
        (
            "10,000 conditions",
            terms(10_000).into_bytes(),
            "invalid-request",
        ),
        (
            "no condition",
            br#"{"text":"x","filters":["x"]}"#.to_vec(),
            "invalid-request",
        ),
        (
            "another sign",
            br#"{"text":"x","filters":{"a":{"~":1}}}"#.to_vec(),
            "invalid-request",
        ),
        (
            "an empty batch",
            b"{\"batch\":[]}".to_vec(),
            "invalid-request",
        ),
        ("257 searches", batch(257).into_bytes(), "invalid-request"),
        (
            "no numbers",
            br#"{"vector":[]}"#.to_vec(),
            "dimension-mismatch",
        ),
        (
            "one number",
            br#"{"vector":[1]}"#.to_vec(),
            "dimension-mismatch",
        ),
        (
            "one too many",
            numbers("1", all + 1).into_bytes(),
            "dimension-mismatch",
        ),
        (
            "only zeros",
            numbers("0", all).into_bytes(),
            "invalid-vector",
        ),
        (
            "numbers beyond f32",
            numbers("1e39", all).into_bytes(),
            "invalid-request",
        ),
        (
            "numbers beyond f64",
            numbers("1e999", all).into_bytes(),
            "invalid-request",
        ),
        ("NaN", numbers("NaN", all).into_bytes(), "invalid-request"),
        (
            "Infinity",
            numbers("Infinity", all).into_bytes(),
            "invalid-request",
        ),
        (
            "null for a number",
            numbers("null", all).into_bytes(),
            "invalid-request",
        ),
    ];
    for (what, body, code) in cases {
        let answer = service.ask("POST", "/search", &[], Some(body));
        assert_eq!(answer.problem(400), *code, "{what}");
        assert!(answer.body.len() < 2000, "{what}: an error is short");
    }
    let unnamed = service.post("/search", &json!({"text": "x", "collection": ""}));
    assert_eq!(unnamed.problem(404), "no-such-collection");
    // What is merely odd is a question like any other.
    let nul = service.search(&json!({"text": "кар\0ту \u{202e}\u{feff}", "category": "\0"}));
    assert_eq!(nul["hits"], json!([]));
    for kind in [
        "text/plain",
        "application/xml",
        "multipart/form-data; boundary=x",
    ] {
        let headers = [("Content-Type", kind)];
        let answer = service.ask("POST", "/search", &headers, Some(b"{\"text\":\"x\"}"));
        assert_eq!(answer.problem(415), "unsupported-media-type", "{kind}");
    }
    is_well(service);
}

#[test]
fn a_packed_body_is_not_unpacked() {
    let place = place();
    let service = Service::start(&place, &[]);
    let packed =
        b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xabV*I\xad(Q\xb2R\xaaP\xaa\x05\0\xb4\x8c\xa3\xd4\x0c\0\0\0";
    for encoding in ["gzip", "br", "deflate", "zstd"] {
        let headers = [("Content-Encoding", encoding)];
        let answer = service.ask("POST", "/search", &headers, Some(packed));
        assert_eq!(answer.problem(415), "unsupported-media-type", "{encoding}");
    }
    is_well(service);
}

#[test]
fn what_is_no_http_is_answered_or_cut_off() {
    let place = place();
    let service = Service::start(&place, &[]);
    let bytes: [&[u8]; 8] = [
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET /search HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST /search HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /search HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST /search HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"\0\0\0\0\r\n\r\n\r\n\r\n",
    ];
    for bytes in bytes {
        let mut connection = service.connect();
        connection.say(bytes).unwrap();
        let said = String::from_utf8_lossy(&connection.rest()).into_owned();
        assert!(!said.starts_with("HTTP/1.1 2"), "{bytes:?}: {said}");
        assert!(!said.starts_with("HTTP/1.1 5"), "{bytes:?}: {said}");
    }
    is_well(service);
}

/// Bodies of searches, damaged at random: whatever comes, the answer is 200 or says what is wrong.
#[test]
fn damaged_bodies_never_break_it() {
    use integration_tests::seed::{Random, of_run};
    let mut dice = Random::new(of_run("damaged_bodies_never_break_it"));
    let place = place();
    let service = Service::start(&place, &[]);
    let sound =
        json!({"text": "карту", "top_k": 3, "threshold": 0.1, "category": "Карты", "contains": "а",
        "filters": {"year": {">=": 2020}, "a": true, "b": "c", "d": 1.5}, "collection": "faq"})
        .to_string()
        .into_bytes();
    let mut connection = service.connect();
    for _ in 0..500 {
        let mut body = sound.clone();
        for _ in 0..=dice.below(4) {
            let at = usize::try_from(dice.below(body.len() as u64)).unwrap();
            match dice.below(4) {
                0 => body.truncate(at.max(1)),
                1 => drop(body.remove(at)),
                2 => body.insert(at, dice.draw().to_le_bytes()[0]),
                _ => body[at] ^= 1 << dice.below(8),
            }
            if body.is_empty() {
                break;
            }
        }
        let path = ["/search", "/predict"][usize::try_from(dice.below(2)).unwrap()];
        let answer = connection
            .ask(&request("POST", path, &[], Some(&body)))
            .unwrap();
        let shown = String::from_utf8_lossy(&body).into_owned();
        match answer.status {
            200 => drop(answer.json()),
            404 => assert_eq!(answer.problem(404), "no-such-collection", "{shown}"),
            status => assert_eq!(answer.problem(status), "invalid-request", "{shown}"),
        }
    }
    is_well(service);
}
