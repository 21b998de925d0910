//! Every way in which a provider can misbehave, at every batch size: one fixed class, one fixed message, a bounded cost,
//! no invalid vector, no key in anything that is told.

mod replies;
mod single;
mod table;

use std::io::Write;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use embedder_client::testing::{Reply, StubApi};
use embedder_client::{
    BatchLimits, EmbedErrorKind, Embedder, HttpSettings, Meter, OpenAiEmbedder, Pause, Purpose,
    embed_batches,
};
use futures_util::{FutureExt, StreamExt};
use storage_core::Embedding;
use tracing_subscriber::filter::LevelFilter;

use crate::{DIMENSIONS, KEY, settings, texts};
use table::{Case, Class, Server, Wait};

/// Attempts of a call that keeps failing in a way that may pass.
const ATTEMPTS: usize = 4;

/// Attempts until a provider that brings nothing but nonsense is given up: a batch of 100 split down to its first texts.
const NONSENSE_ATTEMPTS: usize = 30;

/// Keeps what a client would wait, and opens a server that is down once it has been called so often.
#[derive(Default)]
struct Recorder {
    waits: Mutex<Vec<Duration>>,
    opens: Mutex<Option<(usize, Arc<StubApi>)>>,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Recorder")
    }
}

#[async_trait]
impl Pause for Recorder {
    async fn pause(&self, wait: Duration) {
        let mut waits = self.waits.lock().unwrap();
        waits.push(wait);
        if let Some((after, api)) = &*self.opens.lock().unwrap()
            && waits.len() == *after
        {
            api.open();
        }
    }
}

/// What became of a run.
#[derive(Debug, Default)]
struct Run {
    vectors: Vec<(String, Embedding)>,
    rejected: Vec<(String, String)>,
    fatal: Option<(EmbedErrorKind, String)>,
    requests: usize,
    waits: Vec<Duration>,
}

/// Embeds these texts, one batch after the other, and checks that nothing tells the key.
async fn run(settings: HttpSettings, pause: Arc<Recorder>, texts: Vec<String>, size: usize) -> Run {
    let embedder = OpenAiEmbedder::new(settings).unwrap();
    let embedder: Arc<dyn Embedder> = Arc::new(embedder.with_pause(pause.clone()));
    let limits = BatchLimits {
        texts: size,
        bytes: usize::MAX,
    };
    let (passage, meter) = (Purpose::Passage, Meter::default());
    let outcomes = embed_batches(embedder, texts, Clone::clone, passage, limits, 1, meter);
    let outcomes: Vec<_> = outcomes.collect().await;
    assert!(!format!("{outcomes:?}").contains(KEY), "{outcomes:?}");
    let mut run = Run::default();
    for outcome in outcomes {
        run.vectors.extend(outcome.vectors);
        let rejected = outcome.rejected.into_iter();
        run.rejected
            .extend(rejected.map(|(text, error)| (text, error.to_string())));
        run.requests += outcome.requests as usize;
        let fatal = outcome.fatal.map(|error| (error.kind(), error.to_string()));
        run.fatal = run.fatal.or(fatal);
    }
    run.waits = pause.waits.lock().unwrap().clone();
    run
}

/// One case at one batch size.
struct Trial<'a> {
    case: &'a Case,
    size: usize,
    texts: Vec<String>,
    /// Vectors of a provider that behaves.
    right: Vec<(String, Embedding)>,
}

impl Trial<'_> {
    /// Runs against a server that misbehaves where `wrong` says so: number of the request, and its texts.
    async fn run(&self, wrong: impl Fn(usize, &[String]) -> bool + Send + Sync + 'static) -> Run {
        let recorder = Arc::new(Recorder::default());
        let api = match self.case.server {
            Server::Answers(answer) => StubApi::scripted(
                DIMENSIONS,
                Duration::ZERO,
                move |number, texts| match wrong(number, texts) {
                    true => answer(texts.len()),
                    false => Reply::Vectors,
                },
            ),
            Server::Down => {
                let api = StubApi::closed(DIMENSIONS, Duration::ZERO, |_, _| Reply::Vectors);
                // It comes up when it is to stop misbehaving.
                let up = (0..ATTEMPTS).find(|number| !wrong(*number, &self.texts));
                let api = Arc::new(api);
                *recorder.opens.lock().unwrap() = up.map(|up| (up, Arc::clone(&api)));
                return self.finish(&api, recorder, ATTEMPTS - 1).await;
            }
        };
        self.finish(&api, recorder, 0).await
    }

    async fn finish(&self, api: &StubApi, recorder: Arc<Recorder>, unseen: usize) -> Run {
        let settings = HttpSettings {
            timeout: Duration::from_millis(if self.case.silent { 250 } else { 60_000 }),
            first_wait: Duration::from_millis(250),
            longest_wait: Duration::from_secs(20),
            ..settings(&api.url())
        };
        let run = run(settings, recorder, self.texts.clone(), self.size).await;
        let seen = api.requests();
        assert!(
            run.requests == seen || run.requests == seen + unseen || unseen > 0 && seen == 0,
            "{self}: every attempt is counted: {} of {seen}",
            run.requests
        );
        // Whoever was answered well has the vector that belongs to it.
        let good = run.vectors.iter();
        for (text, vector) in good.filter(|_| self.case.class != Class::Accept) {
            let right = self.right.iter().find(|(other, _)| other == text).unwrap();
            assert_eq!(*vector, right.1, "{self}: the vector of {text}");
        }
        let mut billed = api.billed();
        let all = billed.len();
        billed.sort_unstable();
        billed.dedup();
        let once = billed.len() == all || self.case.silent;
        assert!(once, "{self}: no good answer was paid for twice");
        run
    }

    /// The message of the case, with the address that this run talked to left out.
    fn check_message(&self, message: &str) {
        let host = message
            .split(' ')
            .find(|word| word.starts_with("127.0.0.1:"));
        let message = host.map_or_else(
            || message.to_owned(),
            |host| message.replacen(host, "HOST", 1),
        );
        assert_eq!(message, self.case.says, "{self}: what a person reads");
    }

    fn check_waits(&self, waits: &[Duration], wait: Wait) {
        // On a busy machine even a good answer may be too late for a client with little time.
        let as_many = waits.len() == ATTEMPTS - 1 || (self.case.silent && waits.len() < ATTEMPTS);
        assert!(as_many, "{self}: {waits:?}");
        for (number, waited) in waits.iter().enumerate() {
            let (least, most) = match wait {
                Wait::Ours => (Duration::ZERO, Duration::from_millis(250) * (1 << number)),
                Wait::Asked(asked) => (asked, asked),
                // The date holds whole seconds, and some of it goes by on the way.
                Wait::Until(ahead) => (ahead / 2, ahead),
            };
            assert!((least..=most).contains(waited), "{self}: {waits:?}");
        }
    }

    /// The server misbehaves from the first request on, and never stops.
    async fn always(&self) {
        let run = self.run(|_, _| true).await;
        let batches = self.texts.len().div_ceil(self.size);
        if self.case.class != Class::Accept {
            assert!(
                run.vectors.is_empty(),
                "{self}: nothing is taken for a vector"
            );
        }
        match self.case.class {
            Class::Accept => {
                assert_eq!(
                    (run.vectors.len(), run.requests),
                    (self.texts.len(), batches)
                );
                assert!(run.fatal.is_none() && run.rejected.is_empty(), "{self}");
            }
            Class::Retry(wait) => {
                let (kind, message) = run.fatal.unwrap();
                assert_eq!(kind, EmbedErrorKind::Unavailable, "{self}");
                assert_eq!(run.requests, ATTEMPTS, "{self}");
                self.check_message(&message);
                self.check_waits(&run.waits, wait);
            }
            Class::Stop(expected) => {
                let (kind, message) = run.fatal.unwrap();
                assert_eq!((kind, run.requests), (expected, 1), "{self}");
                assert!(run.waits.is_empty(), "{self}");
                self.check_message(&message);
            }
            Class::Split => {
                let (kind, message) = run.fatal.unwrap();
                assert_eq!(kind, EmbedErrorKind::BadAnswer, "{self}");
                assert!(
                    run.requests <= NONSENSE_ATTEMPTS,
                    "{self}: {}",
                    run.requests
                );
                self.check_message(&message);
            }
            Class::Reject => {
                assert!(run.fatal.is_none(), "{self}: {:?}", run.fatal);
                assert_eq!(run.rejected.len(), self.texts.len(), "{self}");
                assert!(run.requests < 2 * self.texts.len(), "{self}");
                assert!(run.waits.is_empty(), "{self}: a refusal is not repeated");
                for (_, message) in &run.rejected {
                    self.check_message(message);
                }
            }
        }
    }

    /// The server misbehaves for a while, for one text, or from the second batch on: as the class suggests.
    async fn in_part(&self) {
        let bad = self.texts[self.size + self.size / 2].clone();
        match self.case.class {
            Class::Accept => {}
            Class::Retry(wait) => {
                let bad = if self.case.silent { 1 } else { ATTEMPTS - 1 };
                let run = self.run(move |number, _| number < bad).await;
                assert!(run.fatal.is_none(), "{self}: {:?}", run.fatal);
                assert_eq!(run.vectors.len(), self.texts.len(), "{self}");
                self.check_waits(&run.waits, wait);
            }
            Class::Split | Class::Reject => {
                let culprit = bad.clone();
                let run = self.run(move |_, texts| texts.contains(&culprit)).await;
                assert!(run.fatal.is_none(), "{self}: {:?}", run.fatal);
                assert_eq!(run.vectors.len(), self.texts.len() - 1, "{self}");
                let [(text, message)] = &*run.rejected else {
                    panic!("{self}: {:?}", run.rejected);
                };
                assert_eq!(*text, bad, "{self}");
                self.check_message(message);
                // Each level of the search costs two halves, each half that is bad at most two attempts.
                let levels = self.size.next_power_of_two().ilog2() as usize + 1;
                let batches = self.texts.len().div_ceil(self.size);
                assert!(
                    run.requests <= batches + 3 * levels,
                    "{self}: {}",
                    run.requests
                );
            }
            Class::Stop(expected) => {
                let run = self.run(|number, _| number > 0).await;
                let (kind, message) = run.fatal.unwrap();
                assert_eq!((kind, run.requests), (expected, 2), "{self}");
                assert_eq!(run.vectors.len(), self.size, "{self}: what came is kept");
                self.check_message(&message);
            }
        }
    }
}

impl std::fmt::Display for Trial<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, batches of {}", self.case.name, self.size)
    }
}

/// Everything that is logged, libraries included, on this thread.
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

async fn check(cases: &[Case]) {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let (mut trials, mut failed) = (0, 0);
    for size in [1, 2, 10, 100] {
        let texts = texts(2 * size + 3);
        let good = StubApi::start(DIMENSIONS, Duration::ZERO);
        let recorder = Arc::new(Recorder::default());
        let right = run(settings(&good.url()), recorder, texts.clone(), size).await;
        for case in cases {
            let trial = Trial {
                case,
                size,
                texts: texts.clone(),
                right: right.vectors.clone(),
            };
            // Every row is tried, whatever became of the others; each says by its panic what is wrong.
            for tried in [
                AssertUnwindSafe(trial.always()).catch_unwind().await,
                AssertUnwindSafe(trial.in_part()).catch_unwind().await,
            ] {
                failed += usize::from(tried.is_err());
            }
            trials += 1;
            let mut log = log.0.lock().unwrap();
            let told = String::from_utf8_lossy(&log);
            assert!(!told.is_empty(), "the log is being read");
            assert!(!told.contains(KEY), "{trial}: the key is logged:\n{told}");
            log.clear();
        }
    }
    assert_eq!(
        (trials, failed),
        (4 * cases.len(), 0),
        "rows tried, and faults found"
    );
}

#[tokio::test]
async fn every_misbehaviour_has_one_class_one_message_and_a_bounded_cost() {
    let cases = table::cases();
    assert!(cases.len() >= 33, "{}", cases.len());
    check(&cases).await;
}
