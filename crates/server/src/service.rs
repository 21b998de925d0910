//! The state that every request shares.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};
use storage_core::CollectionName;
use tokio::sync::Semaphore;

use crate::backend::Backend;
use crate::jobs::Jobs;
use crate::metrics::Metrics;
use crate::problem::{Code, Problem};
use crate::questions::Questions;
use crate::refresh::Refresh;
use crate::searches::Searches;
use crate::settings::ServiceSettings;
use crate::snapshot::{Served, Snapshot};

/// A service: what it serves now, and the means to answer and to change.
#[derive(Debug)]
pub struct Service {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) settings: ServiceSettings,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) questions: Questions,
    pub(crate) searches: Searches,
    pub(crate) jobs: Jobs,
    pub(crate) refresh: Refresh,
    /// What is served; `None` before it has been read for the first time.
    pub(crate) current: ArcSwapOption<Snapshot>,
    /// Why what is served is not what the store holds, if so.
    pub(crate) trouble: ArcSwap<Option<String>>,
    /// Places for requests.
    pub(crate) places: Semaphore,
    ending: AtomicBool,
}

impl Service {
    /// Composes a service that serves nothing yet: [`follow`](crate::follow) reads the store.
    ///
    /// # Errors
    /// When its threads cannot be started.
    pub fn new(backend: Arc<dyn Backend>, settings: ServiceSettings) -> std::io::Result<Arc<Self>> {
        let metrics = Arc::new(Metrics::new());
        Ok(Arc::new(Self {
            questions: Questions::new(&settings.limits, Arc::clone(&metrics)),
            searches: Searches::start(settings.search_threads, settings.limits.searches)?,
            jobs: Jobs::new(&settings.limits, Arc::clone(&metrics)),
            refresh: Refresh::default(),
            current: ArcSwapOption::empty(),
            trouble: ArcSwap::default(),
            places: Semaphore::new(settings.limits.requests),
            ending: AtomicBool::new(false),
            backend,
            settings,
            metrics,
        }))
    }

    /// What is served now.
    pub(crate) fn snapshot(&self) -> Result<Arc<Snapshot>, Problem> {
        self.current.load_full().ok_or_else(|| {
            let why = self.trouble.load();
            let why = why.as_deref().unwrap_or("the index is being loaded");
            Problem::new(Code::NotReady, format!("not ready: {why}")).retry_after(2)
        })
    }

    /// A collection of a snapshot: the one that is named, or the one of the settings.
    pub(crate) fn collection(
        &self,
        snapshot: &Snapshot,
        named: Option<&str>,
    ) -> Result<Arc<Served>, Problem> {
        let name = match named {
            None => self.settings.collection.clone(),
            Some(name) => CollectionName::new(name)
                .map_err(|error| Problem::new(Code::NoSuchCollection, error.to_string()))?,
        };
        let found = snapshot.collections.get(&name).cloned();
        found.ok_or_else(|| {
            let known: Vec<&str> = snapshot
                .collections
                .keys()
                .map(CollectionName::as_str)
                .collect();
            let known = if known.is_empty() {
                "the store is empty; fill it with `smart-support migrate`".to_owned()
            } else {
                format!("there are: {}", known.join(", "))
            };
            Problem::new(
                Code::NoSuchCollection,
                format!(
                    "there is no collection {name:?}; {known}",
                    name = name.as_str()
                ),
            )
        })
    }

    /// Why answers may be out of date, if so.
    pub(crate) fn degraded(&self) -> Option<String> {
        let stand_in = || {
            let current = self.current.load();
            current
                .as_ref()
                .and_then(|current| current.stand_in.clone())
        };
        let provider = || {
            self.questions
                .provider_is_away()
                .then(|| "the embedding provider did not answer when it was last asked".to_owned())
        };
        // What stands in says why it does, and that it does.
        stand_in()
            .or_else(|| self.trouble.load().as_ref().clone())
            .or_else(provider)
    }

    /// Says that no new work is taken: what was accepted is finished.
    pub fn end(&self) {
        self.ending.store(true, Ordering::SeqCst);
        self.jobs.end(self.backend.now());
    }

    /// Waits until no job runs any more: after [`end`](Self::end), the one that ran has stopped.
    pub async fn idle(&self) {
        self.jobs.idle().await;
    }

    /// Whether it is about to end.
    pub(crate) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::SeqCst)
    }
}
