//! What several areas need.

use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use integration_tests::{Outcome, Place, Reply, StubApi, skip};
use serde_json::Value;

/// Numbers per vector of the stubs.
pub(crate) const DIMENSIONS: usize = 64;

/// A stub that always answers.
pub(crate) fn api() -> StubApi {
    StubApi::start(DIMENSIONS, Duration::ZERO)
}

/// A stub that answers so many requests and then fails, until it is mended.
pub(crate) struct Failing {
    pub(crate) api: StubApi,
    limit: Arc<AtomicUsize>,
}

impl Failing {
    pub(crate) fn after(requests: usize, failure: Reply) -> Self {
        let limit = Arc::new(AtomicUsize::new(requests));
        let known = Arc::clone(&limit);
        let api = StubApi::scripted(DIMENSIONS, Duration::ZERO, move |number, _| {
            if number < known.load(Ordering::SeqCst) {
                Reply::Vectors
            } else {
                failure.clone()
            }
        });
        Self { api, limit }
    }

    /// Answers everything from now on.
    pub(crate) fn mend(&self) {
        self.limit.store(usize::MAX, Ordering::SeqCst);
    }

    /// Answers so many more requests and then fails again.
    pub(crate) fn fail_after(&self, requests: usize) {
        self.limit
            .store(self.api.requests() + requests, Ordering::SeqCst);
    }
}

/// What a provider says to a wrong key.
pub(crate) fn unauthorized() -> Reply {
    let body = r#"{"error":{"message":"invalid api key"}}"#;
    Reply::Status(401, Vec::new(), body.to_owned())
}

/// What a provider says when it is overloaded.
pub(crate) fn unavailable() -> Reply {
    Reply::Status(503, Vec::new(), String::new())
}

/// Checks several counts of a report at once.
#[track_caller]
pub(crate) fn counts(report: &Value, expected: &[(&str, u64)]) {
    for (key, value) in expected {
        assert_eq!(report[*key], *value, "{key} in {report:#}");
    }
}

/// No text was paid for twice.
#[track_caller]
pub(crate) fn billed_once(api: &StubApi, texts: usize) {
    let mut billed = api.billed();
    assert_eq!(billed.len(), texts, "texts billed");
    billed.sort_unstable();
    billed.dedup();
    assert_eq!(billed.len(), texts, "distinct texts billed");
}

/// A server that stops at one request until it is released.
pub(crate) struct Stopping {
    pub(crate) api: StubApi,
    stopped: Receiver<()>,
    release: Sender<()>,
}

/// Stops at that request, from 0, and answers it so when it is released.
pub(crate) fn stopping_at(request: usize, answer: Reply) -> Stopping {
    let (stop, stopped) = channel();
    let (release, released) = channel::<()>();
    let released = Mutex::new(released);
    let api = StubApi::scripted(DIMENSIONS, Duration::ZERO, move |number, _| {
        if number == request {
            stop.send(()).unwrap();
            let _ = released.lock().unwrap().recv();
            return answer.clone();
        }
        Reply::Vectors
    });
    Stopping {
        api,
        stopped,
        release,
    }
}

impl Stopping {
    /// Waits until a run is in that call.
    #[track_caller]
    pub(crate) fn wait(&self) {
        self.stopped
            .recv_timeout(Duration::from_secs(120))
            .expect("the run reaches the call it is to be stopped in");
    }

    /// Lets the call go on.
    pub(crate) fn release(&self) {
        self.release.send(()).unwrap();
    }
}

/// Runs without an administrator's power to pass over permissions; `None` where that cannot be had.
pub(crate) fn as_user(place: &Place, args: &[&str]) -> Option<Outcome> {
    let root = std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    if !root {
        return Some(place.run(args));
    }
    let setpriv = std::process::Command::new("setpriv")
        .arg("--version")
        .output();
    if !setpriv.is_ok_and(|output| output.status.success()) {
        skip("tests run as root, and there is no setpriv to put that power down");
        return None;
    }
    Some(place.run_with_permissions(args))
}
