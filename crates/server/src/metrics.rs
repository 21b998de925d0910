//! What the service counts, in the text format of Prometheus.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Seconds: from a scan of a small collection to a provider's deadline.
const BUCKETS: [f64; 15] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    10.0,
];

/// Which requests are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RequestLabels {
    pub(crate) route: String,
    pub(crate) status: u16,
}

/// Which collection a figure is of.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct CollectionLabel {
    pub(crate) collection: String,
}

/// How jobs ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct JobLabels {
    pub(crate) kind: String,
    pub(crate) state: String,
}

/// Everything that is counted.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Mutex<Registry>,
    pub(crate) requests: Family<RequestLabels, Counter>,
    pub(crate) request_seconds: Histogram,
    pub(crate) in_flight: Gauge,
    pub(crate) connections: Gauge,
    pub(crate) embed_seconds: Histogram,
    pub(crate) embed_failures: Counter,
    pub(crate) search_seconds: Histogram,
    pub(crate) waiting_searches: Gauge,
    pub(crate) waiting_questions: Gauge,
    pub(crate) cache_hits: Counter,
    pub(crate) cache_misses: Counter,
    pub(crate) cache_entries: Gauge,
    pub(crate) generation: Gauge<u64, AtomicU64>,
    pub(crate) rows: Family<CollectionLabel, Gauge<u64, AtomicU64>>,
    pub(crate) index_bytes: Family<CollectionLabel, Gauge<u64, AtomicU64>>,
    pub(crate) loads: Counter,
    pub(crate) load_seconds: Histogram,
    pub(crate) load_failures: Counter,
    pub(crate) degraded: Gauge<i64, AtomicI64>,
    pub(crate) ready: Gauge<i64, AtomicI64>,
    pub(crate) jobs: Family<JobLabels, Counter>,
    pub(crate) jobs_waiting: Gauge,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let seconds = || Histogram::new(BUCKETS);
        let mut all = Self {
            registry: Mutex::default(),
            requests: Family::default(),
            request_seconds: seconds(),
            in_flight: Gauge::default(),
            connections: Gauge::default(),
            embed_seconds: seconds(),
            embed_failures: Counter::default(),
            search_seconds: seconds(),
            waiting_searches: Gauge::default(),
            waiting_questions: Gauge::default(),
            cache_hits: Counter::default(),
            cache_misses: Counter::default(),
            cache_entries: Gauge::default(),
            generation: Gauge::default(),
            rows: Family::default(),
            index_bytes: Family::default(),
            loads: Counter::default(),
            load_seconds: seconds(),
            load_failures: Counter::default(),
            degraded: Gauge::default(),
            ready: Gauge::default(),
            jobs: Family::default(),
            jobs_waiting: Gauge::default(),
        };
        let registry = all.registered();
        all.registry = Mutex::new(registry);
        all
    }

    fn registered(&self) -> Registry {
        let mut all = Registry::with_prefix("smart_support");
        let seconds = || Unit::Seconds;
        all.register(
            "requests",
            "Requests answered, by route and status",
            self.requests.clone(),
        );
        all.register_with_unit(
            "request_duration",
            "From the headers to the answer",
            seconds(),
            self.request_seconds.clone(),
        );
        all.register(
            "requests_in_flight",
            "Requests being answered",
            self.in_flight.clone(),
        );
        all.register(
            "connections",
            "Connections that are open",
            self.connections.clone(),
        );
        all.register_with_unit(
            "embed_duration",
            "Calls to the provider for a question",
            seconds(),
            self.embed_seconds.clone(),
        );
        all.register(
            "embed_failures",
            "Questions that the provider did not embed",
            self.embed_failures.clone(),
        );
        all.register_with_unit(
            "search_duration",
            "Comparing rows, for the questions that were answered together",
            seconds(),
            self.search_seconds.clone(),
        );
        all.register(
            "searches_waiting",
            "Searches that wait for a thread",
            self.waiting_searches.clone(),
        );
        all.register(
            "questions_waiting",
            "Questions that wait for their vectors",
            self.waiting_questions.clone(),
        );
        all.register(
            "question_cache_hits",
            "Questions whose vector was at hand",
            self.cache_hits.clone(),
        );
        all.register(
            "question_cache_misses",
            "Questions that the provider was asked about",
            self.cache_misses.clone(),
        );
        all.register(
            "question_cache_entries",
            "Vectors of questions that are kept",
            self.cache_entries.clone(),
        );
        all.register(
            "generation",
            "The store's generation that is served",
            self.generation.clone(),
        );
        all.register("index_rows", "Rows in memory", self.rows.clone());
        all.register_with_unit(
            "index_size",
            "Vectors in memory",
            Unit::Bytes,
            self.index_bytes.clone(),
        );
        all.register(
            "index_loads",
            "Times that a new generation was read",
            self.loads.clone(),
        );
        all.register_with_unit(
            "index_load_duration",
            "Reading a new generation",
            seconds(),
            self.load_seconds.clone(),
        );
        all.register(
            "index_load_failures",
            "Times that the store could not be read",
            self.load_failures.clone(),
        );
        all.register(
            "degraded",
            "1 while something is not as it should be",
            self.degraded.clone(),
        );
        all.register(
            "ready",
            "1 while questions can be answered",
            self.ready.clone(),
        );
        all.register(
            "jobs",
            "Jobs that ended, by kind and state",
            self.jobs.clone(),
        );
        all.register(
            "jobs_waiting",
            "Jobs that have not begun",
            self.jobs_waiting.clone(),
        );
        all
    }

    /// The text that Prometheus reads.
    pub(crate) fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        let registry = self
            .registry
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        encode(&mut text, &registry)?;
        Ok(text)
    }
}
