//! Batches in flight, refused texts found, and the point at which sending stops.

use std::sync::Arc;
use std::time::Duration;

use embedder_client::testing::{FakeEmbedder, Reply, StubApi};
use embedder_client::{
    BatchLimits, EmbedErrorKind, Embedder, Meter, OpenAiEmbedder, Purpose, embed_batches,
};
use futures_util::StreamExt;

use crate::{DIMENSIONS, settings, texts};

#[derive(Debug)]
struct Summary {
    good: Vec<String>,
    bad: Vec<String>,
    requests: u32,
    fatal: Option<EmbedErrorKind>,
}

async fn run(embedder: Arc<dyn Embedder>, texts: Vec<String>, size: usize) -> Summary {
    let limits = BatchLimits {
        texts: size,
        bytes: usize::MAX,
    };
    let outcomes = embed_batches(
        embedder,
        texts,
        Clone::clone,
        Purpose::Passage,
        limits,
        2,
        Meter::default(),
    );
    let outcomes: Vec<_> = outcomes.collect().await;
    let mut summary = Summary {
        good: Vec::new(),
        bad: Vec::new(),
        requests: 0,
        fatal: None,
    };
    for outcome in outcomes {
        let good = outcome.vectors.into_iter().map(|(text, _)| text);
        summary.good.extend(good);
        let bad = outcome.rejected.into_iter().map(|(text, _)| text);
        summary.bad.extend(bad);
        summary.requests += outcome.requests;
        summary.fatal = summary.fatal.or(outcome.fatal.map(|error| error.kind()));
    }
    summary.good.sort_unstable();
    summary
}

fn fake() -> Arc<FakeEmbedder> {
    Arc::new(FakeEmbedder::new("m", 8, true))
}

#[tokio::test]
async fn a_text_to_blame_is_found_and_the_others_get_their_vectors() {
    for kind in [EmbedErrorKind::Rejected, EmbedErrorKind::BadAnswer] {
        for size in [1, 2, 10, 100] {
            let fake = fake();
            fake.fail_on("text 57", kind);
            let summary = run(fake.clone(), texts(100), size).await;
            assert_eq!(summary.good.len(), 99, "batches of {size}");
            assert_eq!(summary.bad, ["text 57"]);
            assert_eq!(summary.fatal, None);
            assert_eq!(summary.requests as usize, fake.attempts());
            let mut sent = fake.texts();
            sent.sort_unstable();
            assert_eq!(sent, summary.good, "no text got its vector twice");
        }
    }
}

#[tokio::test]
async fn over_http_every_good_text_of_a_bad_batch_gets_its_vector() {
    let status = |status, body: &str| Reply::Status(status, vec![], body.to_owned());
    for reply in [
        status(400, "too long"),
        status(413, ""),
        status(422, ""),
        status(500, r#"{"error":"json: unsupported value: NaN"}"#),
        Reply::Body(r#"{"data":[{"index":0,"embedding":[NaN]}]}"#.to_owned()),
        Reply::Body(r#"{"data":[{"index":0,"embedding":[0,0,0,0]}]}"#.to_owned()),
        Reply::Body(r#"{"data":[]}"#.to_owned()),
    ] {
        for size in [1, 2, 10, 100] {
            let reply = reply.clone();
            let api = StubApi::scripted(DIMENSIONS, Duration::ZERO, move |_, texts| {
                if texts.iter().any(|text| text == "text 57") {
                    reply.clone()
                } else {
                    Reply::Vectors
                }
            });
            let embedder = Arc::new(OpenAiEmbedder::new(settings(&api.url())).unwrap());
            let summary = run(embedder, texts(100), size).await;
            assert_eq!(summary.good.len(), 99, "batches of {size}");
            assert_eq!(summary.bad, ["text 57"]);
            assert_eq!(summary.fatal, None);
            assert_eq!(summary.requests as usize, api.requests());
            assert_eq!(api.billed().len(), 99, "no text is paid for twice");
        }
    }
}

#[tokio::test]
async fn a_provider_that_brings_only_nonsense_is_given_up_soon() {
    for size in [1, 2, 10, 100] {
        let fake = fake();
        fake.fail_after(0, EmbedErrorKind::BadAnswer);
        let summary = run(fake.clone(), texts(1000), size).await;
        assert_eq!(summary.fatal, Some(EmbedErrorKind::BadAnswer));
        assert!(summary.good.is_empty());
        assert!(fake.attempts() <= 30, "{} calls", fake.attempts());
    }
}

#[tokio::test]
async fn a_few_texts_without_a_vector_are_no_fault_of_the_provider() {
    let fake = fake();
    fake.fail_on("text 5", EmbedErrorKind::BadAnswer);
    // `text 5`, and `text 50` to `text 52`, with good ones between.
    let summary = run(fake, texts(53), 10).await;
    assert_eq!((summary.good.len(), summary.bad.len()), (49, 4));
    assert_eq!(summary.fatal, None);
}

#[tokio::test]
async fn after_a_fatal_error_nothing_new_is_sent() {
    for kind in [
        EmbedErrorKind::Unavailable,
        EmbedErrorKind::Configuration,
        EmbedErrorKind::Dimensions,
    ] {
        let fake = fake();
        fake.fail_after(3, kind);
        let summary = run(fake.clone(), texts(100), 10).await;
        assert_eq!((summary.good.len(), summary.bad.len()), (30, 0));
        assert_eq!(summary.fatal, Some(kind));
        assert!(fake.attempts() <= 5, "three answered, and those in flight");
    }
}

#[tokio::test]
async fn what_is_in_flight_at_a_fatal_error_is_kept() {
    let fake = fake();
    fake.fail_in_order([Some(EmbedErrorKind::Unavailable), None]);
    let summary = run(fake.clone(), texts(20), 10).await;
    assert_eq!(summary.fatal, Some(EmbedErrorKind::Unavailable));
    let paid: Vec<String> = {
        let mut paid = fake.texts();
        paid.sort_unstable();
        paid
    };
    assert_eq!(summary.good, paid, "every vector that was made is kept");
}
