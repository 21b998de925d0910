//! Follows the store: reads every new generation and swaps it in. What cannot be read leaves the last good one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use storage_core::{EmbeddingStore, Generation};
use tokio::time::{sleep, timeout};

use crate::backend::ServiceError;
use crate::metrics::CollectionLabel;
use crate::service::Service;
use crate::snapshot::Snapshot;

/// Between two attempts to read a store that could not be read.
const PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A store that says nothing is asked whether it is still there.
const SILENCE: Duration = Duration::from_secs(5);

/// Reads the store and follows it for ever. The last good index stays in place while the store is away; when it is back
/// it is read again, without a restart.
pub async fn follow(service: Arc<Service>) {
    let mut follower = Follower {
        generations: service.backend.watch(),
        service,
        store: None,
    };
    let mut pause = PAUSE;
    loop {
        match follower.catch_up().await {
            Ok(()) => {
                pause = PAUSE;
                follower.wait().await;
            }
            Err(error) => {
                follower.fail(&error).await;
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

struct Follower {
    service: Arc<Service>,
    generations: futures_core::stream::BoxStream<'static, Generation>,
    /// Kept open while it answers.
    store: Option<Arc<dyn EmbeddingStore>>,
}

impl Follower {
    /// Reads what is new, if anything is.
    async fn catch_up(&mut self) -> Result<(), ServiceError> {
        let store = match &self.store {
            Some(store) => Arc::clone(store),
            None => {
                let store = self.service.backend.open().await?;
                self.store = Some(Arc::clone(&store));
                store
            }
        };
        let status = store.status().await?;
        let last = self.service.current.load_full();
        let known = last
            .as_ref()
            .is_some_and(|last| last.stand_in.is_none() && last.status == status);
        if !known {
            take(&self.service, &*store, last.as_deref(), None).await?;
        }
        if self.service.trouble.swap(Arc::new(None)).is_some() {
            tracing::info!(
                "the store answers again, generation {}",
                status.generation.0
            );
        }
        self.service.metrics.degraded.set(0);
        Ok(())
    }

    /// Notes why the store could not be read, and serves what stands in for it, if anything may.
    async fn fail(&mut self, error: &ServiceError) {
        self.store = None;
        let service = Arc::clone(&self.service);
        let why = error.chain();
        if service.trouble.load().as_deref() != Some(&why) {
            if service.current.load().is_some() {
                tracing::warn!("DEGRADED: serving the last good index: {why}");
            } else {
                tracing::warn!("not ready: {why}");
            }
        }
        service.trouble.store(Arc::new(Some(why.clone())));
        service.metrics.degraded.set(1);
        service.metrics.load_failures.inc();
        if service.current.load().is_some() {
            return;
        }
        let stand_in = match service.backend.stand_in().await {
            None => return,
            Some(Ok(store)) => {
                take(
                    &service,
                    &*store,
                    None,
                    Some(format!("serving from memory: {why}")),
                )
                .await
            }
            Some(Err(error)) => Err(error),
        };
        if let Err(error) = stand_in {
            tracing::warn!("nothing can stand in for the store: {}", error.chain());
        }
    }

    /// Until the store says that it has changed, or has been silent for long.
    async fn wait(&mut self) {
        let served = self
            .service
            .current
            .load()
            .as_ref()
            .map(|current| current.generation());
        loop {
            match timeout(SILENCE, self.generations.next()).await {
                Ok(Some(generation)) if Some(generation) == served => {}
                Ok(Some(_)) | Err(_) => return,
                // A watch that ended leaves asking.
                Ok(None) => return sleep(SILENCE).await,
            }
        }
    }
}

/// Reads a generation and serves it.
async fn take(
    service: &Service,
    store: &dyn EmbeddingStore,
    last: Option<&Snapshot>,
    stand_in: Option<String>,
) -> Result<(), ServiceError> {
    let started = Instant::now();
    let snapshot = Snapshot::load(&*service.backend, store, last, stand_in).await?;
    let metrics = &service.metrics;
    metrics.loads.inc();
    metrics
        .load_seconds
        .observe(started.elapsed().as_secs_f64());
    metrics.generation.set(snapshot.generation().0);
    for (name, served) in &snapshot.collections {
        let label = CollectionLabel {
            collection: name.to_string(),
        };
        metrics
            .rows
            .get_or_create(&label)
            .set(served.index.len() as u64);
        metrics
            .index_bytes
            .get_or_create(&label)
            .set(served.index.bytes().0 as u64);
    }
    let rows: usize = snapshot
        .collections
        .values()
        .map(|served| served.index.len())
        .sum();
    tracing::info!(
        "serving generation {}: {rows} rows of {} collections, read in {:.2} s",
        snapshot.generation().0,
        snapshot.collections.len(),
        started.elapsed().as_secs_f64()
    );
    for served in snapshot.collections.values() {
        if let Err(error) = &served.embedder {
            tracing::warn!(
                "collection {} answers ready vectors only: {error}",
                served.name
            );
        }
    }
    service.current.store(Some(Arc::new(snapshot)));
    metrics.ready.set(1);
    Ok(())
}
