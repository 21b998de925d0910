//! An embedder that counts, and fails when it is told to.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::Mutex;

use async_trait::async_trait;
use storage_core::ModelSpec;

use crate::{
    BatchLimits, EmbedError, EmbedErrorKind, Embedded, Embedder, HashEmbedder, Meter, Purpose,
};

/// Lexical vectors under any model name, a ledger of every text sent, and failures on request.
#[derive(Debug)]
pub struct FakeEmbedder {
    spec: ModelSpec,
    inner: HashEmbedder,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    attempts: usize,
    calls: Vec<Vec<String>>,
    script: VecDeque<Option<EmbedErrorKind>>,
    fail_after: Option<(usize, EmbedErrorKind)>,
    refused: Option<(String, EmbedErrorKind)>,
    stalled: bool,
}

impl FakeEmbedder {
    /// A model of that name; its dimensions are told only by its vectors when `tells_dimensions` is false, as those
    /// of an API.
    ///
    /// # Panics
    /// When `dimensions` is 0.
    #[must_use]
    pub fn new(name: &str, dimensions: u32, tells_dimensions: bool) -> Self {
        let dimensions = NonZeroU32::new(dimensions).expect("a model has dimensions");
        let inner = HashEmbedder::new(dimensions);
        let spec = ModelSpec {
            name: name.to_owned(),
            dimensions: tells_dimensions.then_some(dimensions),
            ..inner.spec().clone()
        };
        Self {
            spec,
            inner,
            state: Mutex::default(),
        }
    }

    /// The next calls fail in these ways, one after the other; `None` is a call that works.
    pub fn fail_in_order(&self, script: impl IntoIterator<Item = Option<EmbedErrorKind>>) {
        self.state().script = script.into_iter().collect();
    }

    /// From that many answered calls on, every call fails in that way.
    pub fn fail_after(&self, calls: usize, kind: EmbedErrorKind) {
        self.state().fail_after = Some((calls, kind));
    }

    /// From now on no call is answered at all.
    pub fn stall(&self) {
        self.state().stalled = true;
    }

    /// Calls work again.
    pub fn recover(&self) {
        let mut state = self.state();
        state.stalled = false;
        state.fail_after = None;
    }

    /// Batches with a text that contains this are refused.
    pub fn refuse(&self, marker: &str) {
        self.fail_on(marker, EmbedErrorKind::Rejected);
    }

    /// Batches with a text that contains this fail in that way.
    pub fn fail_on(&self, marker: &str, kind: EmbedErrorKind) {
        self.state().refused = Some((marker.to_owned(), kind));
    }

    /// How many calls came, answered or not.
    #[must_use]
    pub fn attempts(&self) -> usize {
        self.state().attempts
    }

    /// Every call that was answered, with its texts.
    #[must_use]
    pub fn calls(&self) -> Vec<Vec<String>> {
        self.state().calls.clone()
    }

    /// Texts of every call that was answered.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        self.calls().concat()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no test panics while it holds this")
    }
}

#[async_trait]
impl Embedder for FakeEmbedder {
    fn provider(&self) -> &'static str {
        "fake"
    }

    fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    fn limits(&self) -> BatchLimits {
        BatchLimits {
            texts: 1000,
            bytes: usize::MAX,
        }
    }

    async fn embed(
        &self,
        inputs: &[String],
        purpose: Purpose,
        meter: &Meter,
    ) -> Result<Embedded, EmbedError> {
        if self.state().stalled {
            std::future::pending::<()>().await;
        }
        {
            let mut state = self.state();
            state.attempts += 1;
            let scripted = state.script.pop_front().flatten();
            let late = state
                .fail_after
                .filter(|(calls, _)| state.calls.len() >= *calls);
            let refused = state
                .refused
                .as_ref()
                .filter(|(marker, _)| inputs.iter().any(|text| text.contains(marker)));
            let kind = scripted
                .or(late.map(|(_, kind)| kind))
                .or(refused.map(|(_, kind)| *kind));
            if let Some(kind) = kind {
                return Err(EmbedError::new(kind, "told to fail").with_requests(1));
            }
            state.calls.push(inputs.to_vec());
        }
        self.inner.embed(inputs, purpose, meter).await
    }
}
