//! What is sent, and what a call that succeeds reports.

use std::num::NonZeroU32;
use std::time::Duration;

use embedder_client::testing::{Reply, StubApi};
use embedder_client::{
    BatchLimits, EmbedErrorKind, Embedder, HttpSettings, Meter, OllamaEmbedder, OpenAiEmbedder,
    Purpose,
};
use secrecy::SecretString;

use crate::{DIMENSIONS, KEY, api, settings, texts};

#[tokio::test]
async fn a_failure_that_passes_is_repeated_until_it_has() {
    let api = StubApi::scripted(DIMENSIONS, Duration::ZERO, |number, _| match number {
        0 => Reply::Status(503, vec!["Retry-After: 0".to_owned()], String::new()),
        1 => Reply::Raw(vec![]),
        2 => Reply::Body("{\"data\":[]}".to_owned()),
        _ => Reply::Vectors,
    });
    let embedder = OpenAiEmbedder::new(settings(&api.url())).unwrap();
    let answer = embedder
        .embed(&texts(3), Purpose::Passage, &Meter::default())
        .await
        .unwrap();
    assert_eq!(
        (answer.vectors.len(), answer.requests, answer.tokens),
        (3, 4, Some(30))
    );
}

#[tokio::test]
async fn the_key_and_the_prefix_go_where_they_belong() {
    let api = api();
    let settings = HttpSettings {
        passage_prefix: "passage: ".into(),
        query_prefix: "query: ".into(),
        ..settings(&api.url())
    };
    let openai = OpenAiEmbedder::new(settings.clone()).unwrap();
    let ollama = OllamaEmbedder::new(settings).unwrap();
    openai
        .embed(&texts(1), Purpose::Passage, &Meter::default())
        .await
        .unwrap();
    ollama
        .embed(&texts(1), Purpose::Query, &Meter::default())
        .await
        .unwrap();
    let ledger = api.ledger();
    assert_eq!(ledger[0].path, "/v1/embeddings");
    assert_eq!(
        ledger[0].body,
        r#"{"model":"bge-m3","input":["passage: text 0"],"encoding_format":"float"}"#
    );
    let bearer = format!("Bearer {KEY}");
    assert_eq!(ledger[0].authorization.as_deref(), Some(&*bearer));
    assert_eq!(ledger[1].path, "/api/embed");
    assert_eq!(
        ledger[1].body,
        r#"{"model":"bge-m3","input":["query: text 0"],"truncate":false}"#
    );
}

#[tokio::test]
async fn a_width_is_asked_for_only_when_told_to() {
    let api = api();
    let embedder = OpenAiEmbedder::new(HttpSettings {
        send_dimensions: true,
        ..settings(&api.url())
    });
    let embedder = embedder.unwrap();
    embedder
        .embed(&texts(1), Purpose::Query, &Meter::default())
        .await
        .unwrap();
    assert!(api.ledger()[0].body.ends_with(r#","dimensions":4}"#));
    assert_eq!(embedder.spec().dimensions, NonZeroU32::new(4));
}

#[tokio::test]
async fn an_empty_key_is_none_and_a_broken_one_is_not_sent() {
    let api = api();
    let with = |key: &str| {
        OpenAiEmbedder::new(HttpSettings {
            api_key: Some(SecretString::from(key)),
            ..settings(&api.url())
        })
        .unwrap()
    };
    let empty = with(" \n");
    empty
        .embed(&texts(1), Purpose::Query, &Meter::default())
        .await
        .unwrap();
    let read_from_a_file = with(&format!("{KEY}\n"));
    read_from_a_file
        .embed(&texts(1), Purpose::Query, &Meter::default())
        .await
        .unwrap();
    let keys: Vec<_> = api
        .ledger()
        .into_iter()
        .map(|request| request.authorization)
        .collect();
    assert_eq!(keys, [None, Some(format!("Bearer {KEY}"))]);

    let error = with(&format!("{KEY}\nX-Other: 1"))
        .embed(&texts(1), Purpose::Query, &Meter::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), EmbedErrorKind::Configuration);
    assert!(!format!("{error} {error:?}").contains(KEY), "{error:?}");
    assert_eq!(api.requests(), 2);
}

#[tokio::test]
async fn nothing_to_embed_costs_nothing() {
    let api = api();
    let embedder = OpenAiEmbedder::new(settings(&api.url())).unwrap();
    let answer = embedder
        .embed(&[], Purpose::Passage, &Meter::default())
        .await
        .unwrap();
    assert_eq!((answer.vectors.len(), answer.requests), (0, 0));
    assert_eq!(api.requests(), 0);
}

#[tokio::test]
async fn calls_under_a_limit_all_come_through() {
    let api = api();
    let embedder = OpenAiEmbedder::new(HttpSettings {
        requests_per_minute: NonZeroU32::new(60_000),
        ..settings(&api.url())
    });
    let embedder = embedder.unwrap();
    for _ in 0..5 {
        embedder
            .embed(&texts(1), Purpose::Query, &Meter::default())
            .await
            .unwrap();
    }
    assert_eq!(api.requests(), 5);
}

#[test]
fn limits_stay_within_what_a_provider_takes() {
    let with = |texts| HttpSettings {
        limits: BatchLimits { texts, bytes: 99 },
        ..settings("http://localhost")
    };
    for (asked, openai, ollama) in [(0, 1, 1), (10, 10, 10), (9999, 2048, 512)] {
        let limits = OpenAiEmbedder::new(with(asked)).unwrap().limits();
        assert_eq!((limits.texts, limits.bytes), (openai, 99));
        assert_eq!(
            OllamaEmbedder::new(with(asked)).unwrap().limits().texts,
            ollama
        );
    }
}

#[tokio::test]
async fn ollama_says_what_it_lacks_and_what_it_cannot_embed() {
    for (status, body, kind, part) in [
        (
            404,
            r#"{"error":"model \"nomic\" not found, try pulling it first"}"#,
            EmbedErrorKind::Configuration,
            "ollama pull nomic",
        ),
        (
            404,
            "404 page not found",
            EmbedErrorKind::Configuration,
            "EMBEDDING_BASE_URL",
        ),
        (
            500,
            r#"{"error":"failed to encode response: json: unsupported value: NaN"}"#,
            EmbedErrorKind::Rejected,
            "unsupported value: NaN",
        ),
        (
            400,
            r#"{"error":"the input length exceeds the context length"}"#,
            EmbedErrorKind::Rejected,
            "exceeds the context length",
        ),
    ] {
        let api = StubApi::scripted(DIMENSIONS, Duration::ZERO, move |_, _| {
            Reply::Status(status, vec![], body.to_owned())
        });
        let embedder = OllamaEmbedder::new(HttpSettings {
            model: "nomic".into(),
            ..settings(&api.url())
        });
        let error = embedder
            .unwrap()
            .embed(&texts(1), Purpose::Query, &Meter::default())
            .await;
        let error = error.unwrap_err();
        assert_eq!((error.kind(), error.requests()), (kind, 1));
        assert!(error.to_string().contains(part), "{error}");
    }
}
