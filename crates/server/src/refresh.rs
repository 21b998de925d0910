//! Follows the store: reads every new generation and swaps it in. What cannot be read leaves the last good one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use storage_core::{CollectionName, EmbeddingStore, Generation};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::apart::{Wanted, apart_while_wanted};
use crate::backend::{ServiceError, ServiceErrorKind};
use crate::metrics::CollectionLabel;
use crate::problem::{Code, Problem};
use crate::service::Service;
use crate::snapshot::Snapshot;

/// Between two attempts to read a store that could not be read.
const PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Before somebody else follows the store.
const AFTER_PANIC: Duration = Duration::from_secs(1);
/// A store that says nothing is asked whether it is still there.
const SILENCE: Duration = Duration::from_secs(5);
/// What stands in is read, and may be paid for, again only after this.
const BEFORE_ANOTHER_STAND_IN: Duration = Duration::from_secs(300);

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
/// it is read again, without a restart. A follower that panics is followed by another one.
pub async fn follow(service: Arc<Service>) {
    loop {
        // It ends with this one.
        let mut following = JoinSet::new();
        following.spawn(follow_on(Arc::clone(&service)));
        let Some(Err(panic)) = following.join_next().await else {
            return;
        };
        note(&service, &format!("following the store failed: {panic}"));
        sleep(AFTER_PANIC).await;
    }
}

async fn follow_on(service: Arc<Service>) {
    let mut follower = Follower {
        generations: service.backend.watch(),
        service,
        store: None,
        reading: None,
        stand_in: None,
    };
    let mut pause = PAUSE;
    loop {
        let service = Arc::clone(&follower.service);
        let refresh = &service.refresh;
        let caught_up = follower.catch_up().await;
        if let Err(error) = &caught_up {
            follower.fail(error);
        }
        refresh.tried.send_modify(|tried| {
            tried.attempts += 1;
            if let Ok(wanted) = caught_up {
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

/// A store that is read apart: it, and the rebuild that this was.
type Reading = Wanted<Result<(Arc<dyn EmbeddingStore>, u64), ServiceError>>;

struct Follower {
    service: Arc<Service>,
    generations: futures_core::stream::BoxStream<'static, Generation>,
    /// Kept open while it answers.
    store: Option<Arc<dyn EmbeddingStore>>,
    /// What is being read.
    reading: Option<Reading>,
    /// What stands in, or is made to, and since when.
    stand_in: Option<(Wanted<()>, Instant)>,
}

impl Follower {
    /// Reads what is new, if anything is, or everything anew where that is wanted. Gives the rebuild that it was.
    async fn catch_up(&mut self) -> Result<u64, ServiceError> {
        let service = &self.service;
        let patience = service.settings.limits.load_time;
        let store = &mut self.store;
        let reading = self.reading.get_or_insert_with(|| {
            let refresh = &service.refresh;
            let wanted = refresh.wanted.load(Ordering::SeqCst);
            let anew = wanted > refresh.tried.borrow().rebuilt;
            let store = store.take().filter(|_| !anew);
            let service = Arc::clone(service);
            apart_while_wanted(async move {
                let store = look(&service, store, anew).await?;
                Ok((store, wanted))
            })
        });
        let Ok(read) = timeout(patience, reading.done()).await else {
            // Another one would wait as long: it is gone on with.
            return Err(ServiceError::new(
                ServiceErrorKind::Unavailable,
                format!(
                    "the store has not been read within {} s",
                    patience.as_secs()
                ),
            ));
        };
        self.reading = None;
        let panicked = |panic| {
            ServiceError::new(
                ServiceErrorKind::Internal,
                format!("reading the store failed: {panic}"),
            )
        };
        let (store, wanted) = read.map_err(panicked)??;
        self.store = Some(store);
        self.stand_in = None;
        if self.service.trouble.swap(Arc::new(None)).is_some() {
            tracing::info!("the store answers again");
        }
        self.service.metrics.degraded.set(0);
        Ok(wanted)
    }

    /// Notes why the store could not be read, and has something stand in for it, if anything may.
    fn fail(&mut self, error: &ServiceError) {
        let service = &self.service;
        let why = error.chain();
        note(service, &why);
        let is_new = |since: Instant| since.elapsed() < BEFORE_ANOTHER_STAND_IN;
        if service.current.load().is_some()
            || self
                .stand_in
                .as_ref()
                .is_some_and(|(_, since)| is_new(*since))
        {
            return;
        }
        // Beside the store, which may come back long before.
        let making = stand_in(Arc::clone(service), why);
        self.stand_in = Some((apart_while_wanted(making), Instant::now()));
    }

    /// Until the store says that it has changed, or has been silent for long. It says so too when another store of the
    /// same generation took its place.
    async fn wait(&mut self) {
        if let Ok(None) = timeout(SILENCE, self.generations.next()).await {
            // A watch that ended leaves asking.
            sleep(SILENCE).await;
        }
    }
}

/// Notes why what is served may be out of date.
fn note(service: &Service, why: &str) {
    if service.trouble.load().as_deref() != Some(why) {
        if service.current.load().is_some() {
            tracing::warn!("DEGRADED: serving the last good index: {why}");
        } else {
            tracing::warn!("not ready: {why}");
        }
    }
    service.trouble.store(Arc::new(Some(why.to_owned())));
    service.metrics.degraded.set(1);
    service.metrics.load_failures.inc();
}

/// Reads from a store what is new in it, or everything anew, and serves it.
async fn look(
    service: &Service,
    store: Option<Arc<dyn EmbeddingStore>>,
    anew: bool,
) -> Result<Arc<dyn EmbeddingStore>, ServiceError> {
    let store = match store {
        Some(store) => store,
        None => service.backend.open().await?,
    };
    let status = store.status().await?;
    let last = service.current.load_full().filter(|_| !anew);
    match &last {
        Some(last) if last.stand_in.is_none() && last.status == status => {
            if last.lacks_an_embedder() {
                heal(service, &*store, last).await?;
            }
        }
        _ => take(service, &*store, last.as_deref(), None).await?,
    }
    Ok(store)
}

/// Serves what stands in for a store, if anything may.
async fn stand_in(service: Arc<Service>, why: String) {
    let stand_in = match service.backend.stand_in().await {
        None => return,
        Some(Ok(store)) => {
            let why = Some(format!("serving from memory: {why}"));
            take(&service, &*store, None, why).await
        }
        Some(Err(error)) => Err(error),
    };
    if let Err(error) = stand_in {
        tracing::warn!("nothing can stand in for the store: {}", error.chain());
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
    let stands_in = stand_in.is_some();
    let snapshot = Snapshot::load(&*service.backend, store, last, stand_in).await?;
    let snapshot = Arc::new(snapshot);
    if stands_in {
        let new = Some(Arc::clone(&snapshot));
        let before = service
            .current
            .compare_and_swap(&None::<Arc<Snapshot>>, new);
        if before.is_some() {
            // The store came back meanwhile.
            return Ok(());
        }
    }
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
    if !stands_in {
        service.current.store(Some(snapshot));
    }
    metrics.ready.set(1);
    Ok(())
}
