//! Questions become vectors: each once, however many ask it, and never more of them at a time than the provider is asked
//! to bear.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use embedder_client::{EmbedErrorKind, Embedder, Meter, Purpose};
use moka::future::Cache;
use storage_core::{Embedding, SpaceId};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::problem::{Code, Problem};

/// So long does a provider that did not answer count as away.
const REMEMBERED: Duration = Duration::from_secs(20);

/// Vectors of recent questions, by the space that they lie in.
#[derive(Debug)]
pub(crate) struct Questions {
    kept: Cache<(SpaceId, String), Arc<Embedding>>,
    calls: Semaphore,
    places: usize,
    waiting: Semaphore,
    /// When the provider did not answer, if it has not answered since.
    away: ArcSwapOption<Instant>,
    /// How long it may take.
    patience: Duration,
    metrics: Arc<Metrics>,
}

impl Questions {
    pub(crate) fn new(limits: &Limits, metrics: Arc<Metrics>) -> Self {
        Self {
            kept: Cache::new(limits.kept_questions),
            calls: Semaphore::new(limits.question_calls),
            places: limits.questions,
            waiting: Semaphore::new(limits.questions),
            away: ArcSwapOption::empty(),
            // A request must have time left to say so.
            patience: limits.request_time.mul_f32(0.7),
            metrics,
        }
    }

    /// The vector of a question, and whether it was at hand.
    pub(crate) async fn embed(
        &self,
        space: &SpaceId,
        embedder: &Arc<dyn Embedder>,
        question: &str,
    ) -> Result<(Arc<Embedding>, Duration), Problem> {
        let started = Instant::now();
        let text = storage_core::normalise(question);
        let key = (space.clone(), text);
        if let Some(vector) = self.kept.get(&key).await {
            self.metrics.cache_hits.inc();
            return Ok((vector, started.elapsed()));
        }
        let _place = self.waiting.try_acquire().map_err(|_| {
            Problem::new(
                Code::Overloaded,
                "too many questions wait for their vectors already; try again in a moment",
            )
        })?;
        let text = key.1.clone();
        let vector = self
            .kept
            .try_get_with(key, self.call(embedder, text))
            .await
            .map_err(|problem| Problem::clone(&problem))?;
        Ok((vector, started.elapsed()))
    }

    async fn call(
        &self,
        embedder: &Arc<dyn Embedder>,
        text: String,
    ) -> Result<Arc<Embedding>, Problem> {
        self.metrics.cache_misses.inc();
        let started = Instant::now();
        let texts = [text];
        let meter = Meter::default();
        let asking = async {
            let _turn = self.calls.acquire().await;
            embedder.embed(&texts, Purpose::Query, &meter).await
        };
        let Ok(answer) = timeout(self.patience, asking).await else {
            self.away.store(Some(Arc::new(Instant::now())));
            self.metrics.embed_failures.inc();
            tracing::warn!("a question could not be embedded: no answer in time");
            return Err(unanswered());
        };
        self.metrics
            .embed_seconds
            .observe(started.elapsed().as_secs_f64());
        let mut answer = answer.map_err(|error| {
            self.metrics.embed_failures.inc();
            tracing::warn!("a question could not be embedded: {error}");
            let rejected = error.kind() == EmbedErrorKind::Rejected;
            self.away
                .store((!rejected).then(|| Arc::new(Instant::now())));
            match error.kind() {
                EmbedErrorKind::Rejected => Problem::new(
                    Code::InvalidRequest,
                    "the provider does not take this question; word it differently",
                ),
                _ => unanswered(),
            }
        })?;
        self.away.store(None);
        match answer.vectors.pop() {
            Some(vector) => Ok(Arc::new(vector)),
            None => Err(Problem::new(
                Code::ProviderUnavailable,
                "the embedding provider answered without a vector",
            )),
        }
    }

    /// Whether the provider did not answer a moment ago. Questions whose vectors are at hand ask nobody, so after a
    /// while nothing is known any more.
    pub(crate) fn provider_is_away(&self) -> bool {
        let since = self.away.load();
        since
            .as_ref()
            .is_some_and(|since| since.elapsed() < REMEMBERED)
    }

    /// Questions that wait for their vectors.
    pub(crate) fn waiting(&self) -> usize {
        self.places - self.waiting.available_permits()
    }

    /// Vectors that are kept.
    pub(crate) fn len(&self) -> u64 {
        self.kept.entry_count()
    }
}

fn unanswered() -> Problem {
    Problem::new(
        Code::ProviderUnavailable,
        "the embedding provider does not answer; searches with a ready vector and questions that were asked before still \
         work",
    )
    .retry_after(5)
}
