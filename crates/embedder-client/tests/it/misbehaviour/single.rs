//! Misbehaviour that no row of the table can hold: it takes two servers, or two answers.

use std::io::Read;
use std::net::TcpListener;
use std::time::Duration;

use embedder_client::testing::{Reply, Stream, StubApi};
use embedder_client::{
    EmbedError, EmbedErrorKind, Embedder, HttpSettings, Meter, OpenAiEmbedder, Purpose,
};

use super::replies::{GOOD, items, redirect};
use crate::{DIMENSIONS, settings, texts};

async fn error_of(settings: HttpSettings) -> EmbedError {
    let embedder = OpenAiEmbedder::new(settings).unwrap();
    let answer = embedder
        .embed(&texts(2), Purpose::Passage, &Meter::default())
        .await;
    answer.unwrap_err()
}

#[tokio::test]
async fn a_width_that_changes_between_calls_is_noticed() {
    let api = StubApi::scripted(DIMENSIONS, Duration::ZERO, |number, _| match number {
        0 => Reply::Vectors,
        _ => items([(0, "[1,0]"), (1, "[1,0]")]),
    });
    // Nobody said how long the vectors are to be: the first answer does.
    let embedder = OpenAiEmbedder::new(HttpSettings {
        dimensions: None,
        ..settings(&api.url())
    })
    .unwrap();
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
async fn one_answer_with_vectors_of_two_lengths_is_nonsense() {
    let api = StubApi::scripted(DIMENSIONS, Duration::ZERO, |_, _| {
        items([(0, GOOD), (1, "[1,0]")])
    });
    let error = error_of(settings(&api.url())).await;
    assert_eq!(error.kind(), EmbedErrorKind::BadAnswer);
    assert_eq!(
        error.to_string(),
        "the provider's answer mixes vectors of 4 and 2 numbers"
    );
    assert_eq!(api.requests(), 2);
}

#[tokio::test]
async fn an_answer_that_drips_ends_with_the_time_allowed() {
    let api = StubApi::scripted(DIMENSIONS, Duration::ZERO, |_, _| {
        Reply::Stream(Stream::new(|client| {
            client.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")?;
            loop {
                client.write_all(b" ")?;
                std::thread::sleep(Duration::from_millis(5));
            }
        }))
    });
    let error = error_of(HttpSettings {
        timeout: Duration::from_millis(100),
        max_retries: 1,
        ..settings(&api.url())
    })
    .await;
    assert_eq!(
        (error.kind(), error.requests()),
        (EmbedErrorKind::Unavailable, 2)
    );
    assert!(
        error.to_string().contains("did not answer in time"),
        "{error}"
    );
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
    let error = error_of(settings(&format!("https://{address}"))).await;
    assert_eq!(
        (error.kind(), error.requests()),
        (EmbedErrorKind::Configuration, 1),
        "{error}"
    );
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let other = StubApi::start(DIMENSIONS, Duration::ZERO);
    for (status, target) in [
        (301, other.url()),
        (302, format!("{}/v1/embeddings", other.url())),
        (303, other.url()),
        (307, other.url()),
        (308, "/v2/embeddings".to_owned()),
    ] {
        let api = StubApi::scripted(DIMENSIONS, Duration::ZERO, move |_, _| {
            redirect(status, &target)
        });
        let error = error_of(settings(&api.url())).await;
        assert_eq!(error.kind(), EmbedErrorKind::Configuration, "{status}");
        assert_eq!(api.requests(), 1, "{status}");
    }
    assert_eq!(other.requests(), 0, "nothing was sent there");
}
