//! Questions become vectors: each once, however many ask it, and never more of them at a time than the provider is asked
//! to bear.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use embedder_client::{EmbedErrorKind, Embedder, Meter, Purpose};
use moka::future::Cache;
use storage_core::{Embedding, SpaceId};
use tokio::sync::Semaphore;

use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::problem::{Code, Problem};

/// Vectors of recent questions, by the space that they lie in.
#[derive(Debug)]
pub(crate) struct Questions {
    kept: Cache<(SpaceId, String), Arc<Embedding>>,
    calls: Semaphore,
    waiting: Semaphore,
    /// Whether the provider's last answer was none.
    away: AtomicBool,
    metrics: Arc<Metrics>,
}

impl Questions {
    pub(crate) fn new(limits: &Limits, metrics: Arc<Metrics>) -> Self {
        Self {
            kept: Cache::new(limits.kept_questions),
            calls: Semaphore::new(limits.question_calls),
            waiting: Semaphore::new(limits.questions),
            away: AtomicBool::new(false),
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
        let _turn = self
            .calls
            .acquire()
            .await
            .map_err(|_| Problem::new(Code::ShuttingDown, "the service is about to end"))?;
        self.metrics.cache_misses.inc();
        let started = Instant::now();
        let answer = embedder
            .embed(&[text], Purpose::Query, &Meter::default())
            .await;
        self.metrics
            .embed_seconds
            .observe(started.elapsed().as_secs_f64());
        let mut answer = answer.map_err(|error| {
            self.metrics.embed_failures.inc();
            tracing::warn!("a question could not be embedded: {error}");
            let rejected = error.kind() == EmbedErrorKind::Rejected;
            self.away.store(!rejected, Ordering::Relaxed);
            match error.kind() {
                EmbedErrorKind::Rejected => Problem::new(
                    Code::InvalidRequest,
                    "the provider does not take this question; word it differently",
                ),
                _ => Problem::new(
                    Code::ProviderUnavailable,
                    "the embedding provider does not answer; searches with a ready vector and questions that were \
                     asked before still work",
                )
                .retry_after(5),
            }
        })?;
        self.away.store(false, Ordering::Relaxed);
        match answer.vectors.pop() {
            Some(vector) => Ok(Arc::new(vector)),
            None => Err(Problem::new(
                Code::ProviderUnavailable,
                "the embedding provider answered without a vector",
            )),
        }
    }

    /// Whether the provider did not answer when it was last asked.
    pub(crate) fn provider_is_away(&self) -> bool {
        self.away.load(Ordering::Relaxed)
    }

    /// Vectors that are kept.
    pub(crate) fn len(&self) -> u64 {
        self.kept.entry_count()
    }
}
