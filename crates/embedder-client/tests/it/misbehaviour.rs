//! Every way in which a provider can misbehave: one fixed class, a bounded cost, no key in any message.

use std::io::Read;
use std::net::TcpListener;
use std::time::Duration;

use embedder_client::testing::{Reply, StubApi};
use embedder_client::{EmbedErrorKind, Embedder, HttpSettings, Meter, OpenAiEmbedder, Purpose};

use crate::{DIMENSIONS, KEY, settings, texts};

/// Kind and attempts of a call with two texts that every time is answered so.
async fn outcome_of(reply: Reply) -> (Option<EmbedErrorKind>, u32, String) {
    let api = StubApi::scripted(DIMENSIONS, Duration::ZERO, move |_, _| reply.clone());
    let (kind, requests, message) = call(settings(&api.url())).await;
    assert_eq!(requests as usize, api.requests(), "{message}");
    (kind, requests, message)
}

async fn call(settings: HttpSettings) -> (Option<EmbedErrorKind>, u32, String) {
    let embedder = OpenAiEmbedder::new(settings).unwrap();
    match embedder
        .embed(&texts(2), Purpose::Passage, &Meter::default())
        .await
    {
        Ok(answer) => {
            assert_eq!(answer.vectors.len(), 2);
            (None, answer.requests, String::new())
        }
        Err(error) => {
            let told = format!("{error} {error:?} {embedder:?}");
            assert!(!told.contains(KEY), "{told}");
            (Some(error.kind()), error.requests(), error.to_string())
        }
    }
}

fn status(status: u16) -> Reply {
    // Providers repeat keys: this one does.
    let body = format!(r#"{{"error":{{"message":"no, {KEY}"}}}}"#);
    Reply::Status(status, vec![], body)
}

fn with(status: u16, header: &str) -> Reply {
    Reply::Status(status, vec![header.to_owned()], String::new())
}

fn body(body: impl Into<String>) -> Reply {
    Reply::Body(body.into())
}

/// An answer whose second vector is this.
fn second(vector: &str) -> Reply {
    items(&[(0, "[1,0,0,0]"), (1, vector)])
}

fn items(items: &[(usize, &str)]) -> Reply {
    let items: Vec<_> = items
        .iter()
        .map(|(index, vector)| format!(r#"{{"index":{index},"embedding":{vector}}}"#))
        .collect();
    body(format!(r#"{{"data":[{}]}}"#, items.join(",")))
}

/// A success with these header lines and bytes, and a declared length that may be a lie.
fn raw(headers: &str, length: usize, body: &[u8]) -> Reply {
    let head = format!("HTTP/1.1 200 OK\r\n{headers}content-length: {length}\r\n\r\n");
    Reply::Raw([head.as_bytes(), body].concat())
}

#[tokio::test]
async fn every_misbehaviour_has_one_class_and_a_bounded_cost() {
    use EmbedErrorKind::{BadAnswer, Configuration, Dimensions, Rejected, Unavailable};
    let good = "[1,0,0,0]";
    let error = |code: &str| body(format!(r#"{{"error":{{"code":{code},"message":"no"}}}}"#));
    let bomb = gzip_bomb(8 << 20);
    for (name, reply, kind, requests) in [
        ("429", status(429), Unavailable, 4),
        ("429, at once", with(429, "Retry-After: 0"), Unavailable, 4),
        (
            "429, a date gone by",
            with(429, "Retry-After: Wed, 21 Oct 2015 07:28:00 GMT"),
            Unavailable,
            4,
        ),
        (
            "429, in an hour",
            with(429, "Retry-After: 3600"),
            Unavailable,
            1,
        ),
        (
            "429, in another age",
            with(429, "Retry-After: Fri, 31 Dec 2100 23:59:59 GMT"),
            Unavailable,
            1,
        ),
        ("408", status(408), Unavailable, 4),
        ("500", status(500), Unavailable, 4),
        ("502", status(502), Unavailable, 4),
        ("503", status(503), Unavailable, 4),
        ("504", status(504), Unavailable, 4),
        ("401", status(401), Configuration, 1),
        ("403", status(403), Configuration, 1),
        ("404", status(404), Configuration, 1),
        ("400", status(400), Rejected, 1),
        ("413", status(413), Rejected, 1),
        ("422", status(422), Rejected, 1),
        ("418", status(418), BadAnswer, 2),
        ("connection closed", Reply::Raw(vec![]), Unavailable, 4),
        ("no HTTP", Reply::Raw(b"hello".to_vec()), Unavailable, 4),
        ("cut body", raw("", 90, b"{\"data\":"), Unavailable, 4),
        ("empty body", body(""), Unavailable, 4),
        ("web page", body("<html></html>"), Unavailable, 4),
        ("cut document", body("{\"data\":[{\"inde"), Unavailable, 4),
        ("200 with 429", error("429"), Unavailable, 4),
        ("200 with 401", error("401"), Configuration, 1),
        ("200 with 400", error("\"invalid_request\""), Rejected, 1),
        ("200 with an error", error("null"), BadAnswer, 2),
        ("no vectors", body("{}"), BadAnswer, 2),
        ("wrong index", items(&[(0, good), (7, good)]), BadAnswer, 2),
        (
            "doubled index",
            items(&[(0, good), (0, good)]),
            BadAnswer,
            2,
        ),
        ("missing item", items(&[(0, good)]), BadAnswer, 2),
        (
            "extra item",
            items(&[(0, good), (1, good), (2, good)]),
            BadAnswer,
            2,
        ),
        ("NaN", second("[1,NaN,0,0]"), BadAnswer, 2),
        ("Infinity", second("[1,Infinity,0,0]"), BadAnswer, 2),
        ("1e39", second("[1e39,0,0,0]"), BadAnswer, 2),
        ("null", second("[1,null,0,0]"), BadAnswer, 2),
        ("strings", second("[\"1\",0,0,0]"), BadAnswer, 2),
        ("base64", second("\"AACAPwAAAAA=\""), BadAnswer, 2),
        ("zero vector", second("[0,0,0,0]"), BadAnswer, 2),
        ("mixed lengths", second("[1,0]"), BadAnswer, 2),
        (
            "other length",
            items(&[(0, "[1,0]"), (1, "[1,0]")]),
            Dimensions,
            1,
        ),
        (
            "100 MiB",
            raw("", 100 << 20, &vec![b' '; 8 << 20]),
            BadAnswer,
            2,
        ),
        (
            "gzip bomb",
            raw("content-encoding: gzip\r\n", bomb.len(), &bomb),
            BadAnswer,
            2,
        ),
        (
            "broken gzip",
            raw("content-encoding: gzip\r\n", 5, b"hello"),
            Unavailable,
            4,
        ),
    ] {
        let (found, attempts, message) = outcome_of(reply).await;
        assert_eq!(
            (found, attempts),
            (Some(kind), requests),
            "{name}: {message}"
        );
    }
}

#[tokio::test]
async fn what_is_merely_odd_is_accepted() {
    for (name, reply) in [
        ("other order", items(&[(1, "[1,0,0,0]"), (0, "[0,1,0,0]")])),
        ("not normalised", second("[300,-400,0,0]")),
        (
            "other model",
            body(
                r#"{"model":"x","data":[{"index":0,"embedding":[1,0,0,0]},{"index":1,"embedding":[1,0,0,0]}]}"#,
            ),
        ),
        (
            "unknown fields",
            body(
                r#"{"id":7,"error":null,"data":[{"object":"e","index":0,"embedding":[1,0,0,0]},{"index":1,"embedding":[1,0,0,0]}],"usage":{}}"#,
            ),
        ),
    ] {
        let (kind, requests, message) = outcome_of(reply).await;
        assert_eq!((kind, requests), (None, 1), "{name}: {message}");
    }
}

#[tokio::test]
async fn a_width_that_changes_between_calls_is_noticed() {
    let api = StubApi::scripted(DIMENSIONS, Duration::ZERO, |number, _| match number {
        0 => Reply::Vectors,
        _ => items(&[(0, "[1,0]"), (1, "[1,0]")]),
    });
    let embedder = OpenAiEmbedder::new(settings(&api.url())).unwrap();
    embedder
        .embed(&texts(2), Purpose::Passage, &Meter::default())
        .await
        .unwrap();
    let error = embedder
        .embed(&texts(2), Purpose::Passage, &Meter::default())
        .await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), EmbedErrorKind::Dimensions);
    assert!(
        error.to_string().contains("expected 4") && error.to_string().contains("gave 2"),
        "{error}"
    );
}

#[tokio::test]
async fn silence_ends_with_the_time_allowed() {
    let api = StubApi::scripted(DIMENSIONS, Duration::ZERO, |_, _| Reply::Silence);
    let (kind, requests, message) = call(HttpSettings {
        timeout: Duration::from_millis(50),
        max_retries: 1,
        ..settings(&api.url())
    })
    .await;
    assert_eq!((kind, requests), (Some(EmbedErrorKind::Unavailable), 2));
    assert!(message.contains("did not answer in time"), "{message}");
}

#[tokio::test]
async fn nobody_there_is_unavailable() {
    // A port that was free a moment ago.
    let address = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let (kind, requests, message) = call(settings(&format!("http://{address}"))).await;
    assert_eq!((kind, requests), (Some(EmbedErrorKind::Unavailable), 4));
    assert!(message.contains(&address.to_string()), "{message}");
    assert!(message.contains("cannot be reached"), "{message}");
}

#[tokio::test]
async fn a_reset_connection_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // Closing with bytes unread makes the system send a reset.
            let _ = stream.read_exact(&mut [0]);
        }
    });
    let (kind, requests, message) = call(settings(&format!("http://{address}"))).await;
    assert_eq!((kind, requests), (Some(EmbedErrorKind::Unavailable), 4));
    assert!(message.contains("broke the connection off"), "{message}");
}

#[tokio::test]
async fn a_server_without_tls_is_a_wrong_address() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            use std::io::Write;
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            // Until the client goes away: a reset would hide what was sent.
            let _ = stream.read(&mut [0]);
        }
    });
    let (kind, requests, message) = call(settings(&format!("https://{address}"))).await;
    assert_eq!(
        (kind, requests),
        (Some(EmbedErrorKind::Configuration), 1),
        "{message}"
    );
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let other = StubApi::start(DIMENSIONS, Duration::ZERO);
    for (status, target, host) in [
        (302, format!("{}/SECRET-MARK", other.url()), "127.0.0.1"),
        (307, other.url(), "127.0.0.1"),
        (308, "/v2/embeddings".to_owned(), "127.0.0.1"),
        (
            301,
            "http://169.254.169.254/latest/".to_owned(),
            "169.254.169.254",
        ),
        (302, "file:///etc/passwd".to_owned(), ""),
    ] {
        let reply = with(status, &format!("Location: {target}"));
        let (kind, requests, message) = outcome_of(reply).await;
        assert_eq!((kind, requests), (Some(EmbedErrorKind::Configuration), 1));
        assert!(
            message.contains(host) && !message.contains("SECRET") && !message.contains("passwd"),
            "{message}"
        );
    }
    assert_eq!(other.requests(), 0, "nothing was sent there");
}

/// A gzip stream of that many zeros, a thousandth as long: one literal, then copies of 258 bytes of what stands
/// before, in the fixed code of RFC 1951. Its checksum is wrong, but nobody should get that far.
fn gzip_bomb(zeros: usize) -> Vec<u8> {
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let mut bits: Vec<bool> = Vec::new();
    // Huffman codes stand with their highest bit first.
    let mut put = |code: u32, length: u32| {
        bits.extend((0..length).rev().map(|bit| code >> bit & 1 == 1));
    };
    put(0b110, 3); // the last block (1), fixed codes (01, lowest bit first)
    put(0b0011_0000, 8); // literal 0
    for _ in 0..zeros / 258 {
        put(0b1100_0101, 8); // length 258
        put(0, 5); // distance 1
    }
    put(0, 7); // end of block
    let byte = |eight: &[bool]| {
        let set = eight.iter().enumerate().filter(|(_, set)| **set);
        set.map(|(at, _)| 1u8 << at).sum::<u8>()
    };
    bytes.extend(bits.chunks(8).map(byte));
    bytes.extend([0; 8]);
    bytes
}
