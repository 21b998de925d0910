//! The key is in the header and nowhere else.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use embedder_client::testing::{Reply, StubApi};
use embedder_client::{Embedder, Meter, OllamaEmbedder, OpenAiEmbedder, Purpose};
use tracing_subscriber::filter::LevelFilter;

use crate::{DIMENSIONS, KEY, settings, texts};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_log_line_and_no_error_holds_the_key() {
    let log = Log::default();
    let writer = log.clone();
    // For the whole process, with the lines of the libraries below: they know the key too.
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    let echo = format!(r#"{{"error":{{"message":"wrong key {KEY}"}},"model":"{KEY}"}}"#);
    let other_model = format!(
        r#"{{"model":"{KEY}","data":[{{"index":0,"embedding":[1,0,0,0]}}],"embeddings":[[1,0,0,0]]}}"#
    );
    let replies = [
        Reply::Status(401, vec![], echo.clone()),
        Reply::Status(503, vec!["Retry-After: 0".to_owned()], echo.clone()),
        Reply::Status(418, vec![], format!("I got {KEY}")),
        Reply::Status(302, vec![format!("Location: /{KEY}")], String::new()),
        Reply::Body(echo),
        Reply::Body(format!(r#"{{"data":"{KEY}"}}"#)),
        Reply::Body(other_model),
        Reply::Raw(format!("HTTP/1.1 200 {KEY}\r\n{KEY}").into_bytes()),
        Reply::Raw(vec![]),
        Reply::Vectors,
    ];
    for reply in replies {
        let api = StubApi::scripted(DIMENSIONS, Duration::ZERO, move |_, _| reply.clone());
        let settings = settings(&api.url());
        let embedders: [Box<dyn Embedder>; 2] = [
            Box::new(OpenAiEmbedder::new(settings.clone()).unwrap()),
            Box::new(OllamaEmbedder::new(settings.clone()).unwrap()),
        ];
        for embedder in embedders {
            let outcome = embedder
                .embed(&texts(1), Purpose::Passage, &Meter::default())
                .await;
            let mut told = format!("{settings:?} {embedder:?} {outcome:?}");
            if let Err(error) = outcome {
                let error: &dyn std::error::Error = &error;
                for cause in std::iter::successors(Some(error), |error| error.source()) {
                    told = format!("{told} {cause} {cause:?}");
                }
            }
            assert!(!told.contains(KEY), "{told}");
        }
        let sent = api.ledger();
        let bearer = format!("Bearer {KEY}");
        assert!(
            sent.iter()
                .all(|request| request.authorization.as_deref() == Some(&*bearer))
        );
    }
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for line in ["repeating a call", "the provider names another model"] {
        assert!(log.contains(line), "the log is being read");
    }
    assert!(!log.contains(KEY), "{log}");
}
