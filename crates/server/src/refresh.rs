//! Follows the store: reads every new generation and swaps it in. What cannot be read leaves the last good one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use storage_core::{CollectionName, EmbeddingStore, Generation};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use crate::backend::ServiceError;
use crate::metrics::CollectionLabel;
use crate::problem::{Code, Problem};
use crate::service::Service;
use crate::snapshot::Snapshot;

/// Between two attempts to read a store that could not be read.
const PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A store that says nothing is asked whether it is still there.
const SILENCE: Duration = Duration::from_secs(5);

/// By which a request tells the follower to look now, and hears that it did.
#[derive(Debug, Default)]
pub(crate) struct Refresh {
    nudge: Notify,
    /// Rebuilds that were asked for.
    wanted: AtomicU64,
    tried: watch::Sender<Tried>,
}

/// How often the store was looked at.
#[derive(Debug, Clone, Copy, Default)]
struct Tried {
    attempts: u64,
    /// Rebuilds that were done.
    rebuilt: u64,
}

impl Service {
    /// Waits until a collection is served as it is from a generation on. For as long as that takes: the caller knows how
    /// long it can wait.
    pub(crate) async fn serves(&self, collection: &CollectionName, generation: Generation) {
        let mut tried = self.refresh.tried.subscribe();
        let is_served = || {
            let current = self.current.load();
            current.as_ref().is_some_and(|current| {
                let served = current.collections.get(collection);
                current.stand_in.is_none()
                    && served.is_some_and(|served| served.generation >= generation)
            })
        };
        self.refresh.nudge.notify_one();
        while !is_served() {
            if tried.changed().await.is_err() {
                return;
            }
        }
    }

    /// Has everything read anew, whatever generation it is of, and gives what was served before and is served now.
    pub(crate) async fn rebuilt(&self) -> Result<(Arc<Snapshot>, Arc<Snapshot>), Problem> {
        let before = self.snapshot()?;
        let mut tried = self.refresh.tried.subscribe();
        let wanted = self.refresh.wanted.fetch_add(1, Ordering::SeqCst) + 1;
        // The attempt that is under way does not count: it may have begun before.
        let attempts = tried.borrow().attempts + 1;
        self.refresh.nudge.notify_one();
        loop {
            let now = *tried.borrow_and_update();
            if now.rebuilt >= wanted {
                return Ok((before, self.snapshot()?));
            }
            if now.attempts > attempts
                && let Some(why) = self.trouble.load().as_deref()
            {
                return Err(Problem::new(
                    Code::StoreUnavailable,
                    format!("the store cannot be read: {why}"),
                ));
            }
            if tried.changed().await.is_err() {
                return Err(Problem::internal(&"nobody follows the store"));
            }
        }
    }
}

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
        let service = Arc::clone(&follower.service);
        let refresh = &service.refresh;
        let wanted = refresh.wanted.load(Ordering::SeqCst);
        let anew = wanted > refresh.tried.borrow().rebuilt;
        let caught_up = follower.catch_up(anew).await;
        if let Err(error) = &caught_up {
            follower.fail(error).await;
        }
        refresh.tried.send_modify(|tried| {
            tried.attempts += 1;
            if caught_up.is_ok() {
                tried.rebuilt = wanted;
            }
        });
        let next = async {
            if caught_up.is_ok() {
                follower.wait().await;
            } else {
                sleep(pause).await;
            }
        };
        tokio::select! {
            () = next => {}
            () = refresh.nudge.notified() => {}
        }
        pause = if caught_up.is_ok() {
            PAUSE
        } else {
            (pause * 2).min(LONGEST_PAUSE)
        };
    }
}

struct Follower {
    service: Arc<Service>,
    generations: futures_core::stream::BoxStream<'static, Generation>,
    /// Kept open while it answers.
    store: Option<Arc<dyn EmbeddingStore>>,
}

impl Follower {
    /// Reads what is new, if anything is, or everything anew.
    async fn catch_up(&mut self, anew: bool) -> Result<(), ServiceError> {
        if anew {
            self.store = None;
        }
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
        let last = last.filter(|_| !anew);
        let known = last
            .as_ref()
            .is_some_and(|last| last.stand_in.is_none() && last.status == status);
        if known
            && let Some(last) = &last
            && last.lacks_an_embedder()
        {
            heal(&self.service, &*store, last).await?;
        }
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

/// Finds embedders for collections that had none, and keeps quiet where there still is none.
async fn heal(
    service: &Service,
    store: &dyn EmbeddingStore,
    last: &Snapshot,
) -> Result<(), ServiceError> {
    let now = Snapshot::load(&*service.backend, store, Some(last), None).await?;
    let healed = now.collections.values().filter(|served| {
        let before = last.collections.get(&served.name);
        served.embedder.is_ok() && before.is_some_and(|before| before.embedder.is_err())
    });
    let healed: Vec<&str> = healed.map(|served| served.name.as_str()).collect();
    if !healed.is_empty() {
        tracing::info!("questions to {} can be embedded now", healed.join(", "));
        service.current.store(Some(Arc::new(now)));
    }
    Ok(())
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
