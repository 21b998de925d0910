//! The HTTP providers against a server on loopback: what is sent, what each misbehaviour means, what it costs.
#![allow(
    clippy::unwrap_used,
    reason = "a test says by panicking what went wrong"
)]

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use embedder_client::testing::{FakeEmbedder, Reply, StubApi};
use embedder_client::{
    BatchLimits, EmbedErrorKind, Embedder, HashEmbedder, HttpSettings, OllamaEmbedder,
    OpenAiEmbedder, Purpose, embed_batches,
};
use futures_util::StreamExt;
use secrecy::SecretString;

const KEY: &str = "SECRET-MARK-4711";

fn settings(api: &StubApi) -> HttpSettings {
    HttpSettings {
        api_key: Some(SecretString::from(KEY)),
        first_wait: Duration::from_millis(1),
        longest_wait: Duration::from_millis(20),
        max_retries: 3,
        timeout: Duration::from_secs(20),
        ..HttpSettings::new(api.url(), "bge-m3")
    }
}

fn texts(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("text {number}")).collect()
}

async fn kind_after(reply: Reply) -> (EmbedErrorKind, u32) {
    let api = StubApi::scripted(4, Duration::ZERO, move |_, _| reply.clone());
    let embedder = OpenAiEmbedder::new(HttpSettings {
        dimensions: NonZeroU32::new(4),
        ..settings(&api)
    })
    .unwrap();
    let error = embedder
        .embed(&texts(2), Purpose::Passage)
        .await
        .unwrap_err();
    let told = format!("{error} {error:?} {embedder:?}");
    assert!(!told.contains(KEY), "{told}");
    assert_eq!(
        error.requests() as usize,
        api.requests(),
        "every attempt is counted"
    );
    (error.kind(), error.requests())
}

#[tokio::test]
async fn every_misbehaviour_has_one_class_and_a_bounded_cost() {
    use EmbedErrorKind::{BadAnswer, Configuration, Dimensions, Rejected, Unavailable};
    let status =
        |status: u16| Reply::Status(status, vec![], r#"{"error":{"message":"no"}}"#.to_owned());
    let with =
        |status: u16, header: &str| Reply::Status(status, vec![header.to_owned()], String::new());
    let body = |body: &str| Reply::Body(body.to_owned());
    let item = |vector: &str| {
        format!(
            r#"{{"data":[{{"index":0,"embedding":{vector}}},{{"index":1,"embedding":[1,0,0,0]}}]}}"#
        )
    };
    let far = "Retry-After: 3600";
    for (name, reply, kind, requests) in [
        ("429", status(429), Unavailable, 4),
        (
            "429 with seconds",
            with(429, "Retry-After: 0"),
            Unavailable,
            4,
        ),
        (
            "429 with a far date",
            with(429, "Retry-After: Fri, 31 Dec 2100 23:59:59 GMT"),
            Unavailable,
            1,
        ),
        ("429 with many seconds", with(429, far), Unavailable, 1),
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
        ("connection closed", Reply::Raw(vec![]), Unavailable, 4),
        ("no HTTP", Reply::Raw(b"hello".to_vec()), Unavailable, 4),
        (
            "cut off body",
            Reply::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 90\r\n\r\n{\"data\":".to_vec()),
            Unavailable,
            4,
        ),
        ("empty body", body(""), BadAnswer, 2),
        ("web page", body("<html></html>"), BadAnswer, 2),
        (
            "cut off document",
            body("{\"data\":[{\"index\":0,"),
            BadAnswer,
            2,
        ),
        (
            "200 with an error",
            body(r#"{"error":{"message":"overloaded"}}"#),
            BadAnswer,
            2,
        ),
        (
            "missing item",
            body(r#"{"data":[{"index":0,"embedding":[1,0,0,0]}]}"#),
            BadAnswer,
            2,
        ),
        (
            "wrong index",
            body(
                r#"{"data":[{"index":0,"embedding":[1,0,0,0]},{"index":7,"embedding":[1,0,0,0]}]}"#,
            ),
            BadAnswer,
            2,
        ),
        (
            "doubled index",
            body(
                r#"{"data":[{"index":0,"embedding":[1,0,0,0]},{"index":0,"embedding":[1,0,0,0]}]}"#,
            ),
            BadAnswer,
            2,
        ),
        ("not a number", body(&item("[1,NaN,0,0]")), BadAnswer, 2),
        ("null", body(&item("[1,null,0,0]")), BadAnswer, 2),
        ("text", body(&item("[\"1\",0,0,0]")), BadAnswer, 2),
        ("base64", body(&item("\"AACAPwAAAAA=\"")), BadAnswer, 2),
        (
            "too large a number",
            body(&item("[1e39,0,0,0]")),
            Rejected,
            1,
        ),
        ("zero vector", body(&item("[0,0,0,0]")), Rejected, 1),
        ("mixed dimensions", body(&item("[1,0]")), BadAnswer, 1),
        (
            "redirect",
            with(302, "Location: http://127.0.0.1:9/"),
            Configuration,
            1,
        ),
        (
            "wrong dimensions",
            body(r#"{"data":[{"index":0,"embedding":[1,0]},{"index":1,"embedding":[1,0]}]}"#),
            Dimensions,
            1,
        ),
    ] {
        assert_eq!(kind_after(reply).await, (kind, requests), "{name}");
    }
}

#[tokio::test]
async fn a_failure_that_passes_is_repeated_until_it_has() {
    let api = StubApi::scripted(4, Duration::ZERO, |number, _| match number {
        0 => Reply::Status(503, vec!["Retry-After: 0".to_owned()], String::new()),
        1 => Reply::Raw(vec![]),
        _ => Reply::Vectors,
    });
    let embedder = OpenAiEmbedder::new(settings(&api)).unwrap();
    let answer = embedder.embed(&texts(3), Purpose::Passage).await.unwrap();
    assert_eq!(
        (answer.vectors.len(), answer.requests, answer.tokens),
        (3, 3, Some(30))
    );
}

#[tokio::test]
async fn the_key_and_the_prefix_go_where_they_belong() {
    let api = StubApi::start(4, Duration::ZERO);
    let settings = HttpSettings {
        passage_prefix: "passage: ".into(),
        query_prefix: "query: ".into(),
        ..settings(&api)
    };
    let openai = OpenAiEmbedder::new(settings.clone()).unwrap();
    let ollama = OllamaEmbedder::new(settings).unwrap();
    openai.embed(&texts(1), Purpose::Passage).await.unwrap();
    ollama.embed(&texts(1), Purpose::Query).await.unwrap();
    let ledger = api.ledger();
    assert_eq!(ledger[0].path, "/v1/embeddings");
    assert_eq!(ledger[0].texts, ["passage: text 0"]);
    assert_eq!(
        ledger[0].authorization.as_deref(),
        Some(&*format!("Bearer {KEY}"))
    );
    assert_eq!(ledger[1].path, "/api/embed");
    assert_eq!(ledger[1].texts, ["query: text 0"]);
}

#[tokio::test]
async fn a_model_that_ollama_lacks_is_named_with_the_command_that_gets_it() {
    let body = r#"{"error":"model \"nomic\" not found, try pulling it first"}"#;
    let api = StubApi::scripted(4, Duration::ZERO, move |_, _| {
        Reply::Status(404, vec![], body.to_owned())
    });
    let embedder = OllamaEmbedder::new(HttpSettings {
        model: "nomic".into(),
        ..settings(&api)
    })
    .unwrap();
    let error = embedder.embed(&texts(1), Purpose::Query).await.unwrap_err();
    assert!(error.to_string().contains("ollama pull nomic"), "{error}");
}

#[tokio::test]
async fn nobody_there_is_unavailable() {
    let embedder = OpenAiEmbedder::new(HttpSettings {
        first_wait: Duration::from_millis(1),
        max_retries: 1,
        ..HttpSettings::new("http://127.0.0.1:9/v1", "m")
    })
    .unwrap();
    let error = embedder.embed(&texts(1), Purpose::Query).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.requests()),
        (EmbedErrorKind::Unavailable, 2)
    );
    assert!(error.to_string().contains("127.0.0.1:9"), "{error}");
}

#[test]
fn addresses_are_checked_before_anything_is_sent() {
    let refused = |url: &str| {
        let settings = HttpSettings {
            api_key: Some(SecretString::from(KEY)),
            ..HttpSettings::new(url, "m")
        };
        OpenAiEmbedder::new(settings)
            .err()
            .map(|error| error.kind())
            == Some(EmbedErrorKind::Configuration)
    };
    assert!(refused("not an address"));
    assert!(refused("file:///etc/passwd"));
    assert!(refused("https://user:password@example.com/v1"));
    assert!(
        refused("http://example.com/v1"),
        "a key must not travel in the open"
    );
    assert!(!refused("https://example.com/v1"));
    assert!(!refused("http://10.0.0.1/v1"));
}

async fn run(
    embedder: Arc<dyn Embedder>,
    texts: Vec<String>,
    limits: BatchLimits,
) -> (Vec<String>, Vec<String>, u32, bool) {
    let outcomes = embed_batches(embedder, texts, Clone::clone, Purpose::Passage, limits, 2);
    let outcomes: Vec<_> = outcomes.collect().await;
    let requests = outcomes.iter().map(|outcome| outcome.requests).sum();
    let fatal = outcomes.iter().any(|outcome| outcome.fatal.is_some());
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for outcome in outcomes {
        good.extend(outcome.vectors.into_iter().map(|(text, _)| text));
        bad.extend(outcome.rejected.into_iter().map(|(text, _)| text));
    }
    good.sort_unstable();
    (good, bad, requests, fatal)
}

#[tokio::test]
async fn batches_are_cut_over_the_whole_input_by_count_and_bytes() {
    let fake = Arc::new(FakeEmbedder::new("m", 8, true));
    let limits = BatchLimits {
        texts: 3,
        bytes: 14,
    };
    let input: Vec<String> = [
        "aaaa",
        "bbbb",
        "cccc",
        "dddd",
        "a text that is too long alone",
        "e",
    ]
    .map(Into::into)
    .into();
    let (good, bad, requests, fatal) = run(fake.clone(), input, limits).await;
    assert_eq!((good.len(), bad.len(), requests, fatal), (6, 0, 4, false));
    let mut sizes: Vec<usize> = fake.calls().iter().map(Vec::len).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [1, 1, 1, 3]);
}

#[tokio::test]
async fn a_refused_text_is_found_and_the_others_get_their_vectors() {
    for size in [1, 2, 10, 100] {
        let fake = Arc::new(FakeEmbedder::new("m", 8, true));
        fake.refuse("text 57");
        let (good, bad, _, fatal) = run(
            fake.clone(),
            texts(100),
            BatchLimits {
                texts: size,
                bytes: usize::MAX,
            },
        )
        .await;
        assert_eq!(
            (good.len(), bad, fatal),
            (99, vec!["text 57".to_owned()], false),
            "batches of {size}"
        );
        let mut sent = fake.texts();
        sent.sort_unstable();
        sent.dedup();
        assert_eq!(sent.len(), 99, "no text got its vector twice");
    }
}

#[tokio::test]
async fn after_a_fatal_error_nothing_new_is_sent() {
    let fake = Arc::new(FakeEmbedder::new("m", 8, true));
    fake.fail_after(3, EmbedErrorKind::Unavailable);
    let (good, bad, requests, fatal) = run(
        fake,
        texts(100),
        BatchLimits {
            texts: 10,
            bytes: usize::MAX,
        },
    )
    .await;
    assert_eq!((good.len(), bad.len(), fatal), (30, 0, true));
    assert!(
        requests <= 5,
        "three answered, and those in flight: {requests}"
    );
}

#[tokio::test]
async fn hashed_vectors_are_the_same_everywhere_and_compare_words() {
    let embedder = HashEmbedder::default();
    let texts = [
        "Как заблокировать карту?",
        "Блокировка карты",
        "Курс доллара",
        "…",
    ]
    .map(str::to_owned);
    let vectors = embedder
        .embed(&texts, Purpose::Passage)
        .await
        .unwrap()
        .vectors;
    let cosine = |left: usize, right: usize| -> f32 {
        vectors[left]
            .as_slice()
            .iter()
            .zip(vectors[right].as_slice())
            .map(|(a, b)| a * b)
            .sum()
    };
    assert!(
        cosine(0, 1) > cosine(0, 2) + 0.1,
        "{} {}",
        cosine(0, 1),
        cosine(0, 2)
    );
    let checksum = storage_core::ContentHash::of(&vectors[0].to_le_bytes());
    assert_eq!(&checksum.to_hex()[..16], "89a985482840fea9");
}
