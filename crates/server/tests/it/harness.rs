//! A service over a store in memory and an embedder that counts.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use embedder_client::testing::FakeEmbedder;
use embedder_client::{BatchLimits, Embedder, Meter};
use faq_source::{Identity, SourceRow, SourceSnapshot};
use futures_core::stream::BoxStream;
use futures_util::StreamExt;
use http_body_util::BodyExt;
use serde_json::Value;
use server::{
    Backend, Service, ServiceError, ServiceErrorKind, ServiceSettings, Workshop, follow, router,
};
use storage_core::{
    CollectionName, EmbeddingStore, Generation, MemoryStore, RunId, StoreStatus, Timestamp, Version,
};
use sync_engine::{NoProgress, SyncContext, SyncPolicy, SyncReport, sync};
use tower::ServiceExt;

/// Far longer than anything here takes.
const DEADLINE: Duration = Duration::from_secs(30);

/// A service, its store and its embedder.
pub(crate) struct Place {
    pub(crate) service: Arc<Service>,
    pub(crate) router: Router,
    pub(crate) backend: Arc<Parts>,
    follower: tokio::task::JoinHandle<()>,
}

/// What the service is composed of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) embedder: Arc<FakeEmbedder>,
    /// What the configured source says, if one is.
    pub(crate) source: Mutex<Option<SourceSnapshot>>,
    /// Why the store is away, if it is.
    pub(crate) away: Mutex<Option<ServiceErrorKind>>,
    /// Whether the next one that opens the store panics.
    pub(crate) panics: AtomicBool,
    /// Whether the next one that watches the store panics.
    pub(crate) watch_panics: AtomicBool,
    /// Whoever opens the store next is held, thread and all, until the other end of this is gone.
    pub(crate) opens: Mutex<Option<std::sync::mpsc::Receiver<()>>>,
    /// How often something was asked to stand in for the store, which it tries for ever.
    pub(crate) stood_in: AtomicUsize,
    /// A document of the name `hang` is read until the other end of this is gone.
    pub(crate) hangs: Mutex<Option<std::sync::mpsc::Receiver<()>>>,
    /// Whether nobody can embed what is written.
    pub(crate) without_embedder: Mutex<bool>,
    /// Jobs wait here for their store while it is held.
    pub(crate) gate: tokio::sync::Mutex<()>,
    /// How often the store was asked for to be written.
    pub(crate) asked: AtomicUsize,
    clock: Mutex<i64>,
}

impl Parts {
    fn check(&self) -> Result<(), ServiceError> {
        match *self.away.lock().unwrap() {
            Some(kind) => Err(ServiceError::new(kind, "the store is away")),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Backend for Parts {
    async fn open(&self) -> Result<Arc<dyn EmbeddingStore>, ServiceError> {
        assert!(!self.panics.swap(false, Ordering::SeqCst), "told to panic");
        let held = self.opens.lock().unwrap().take();
        if let Some(held) = held {
            held.recv().unwrap_err();
        }
        self.check()?;
        Ok(Arc::clone(&self.store) as Arc<dyn EmbeddingStore>)
    }

    // Nobody tells of changes: what is served at once is served because the service looked.
    fn watch(&self) -> BoxStream<'static, Generation> {
        assert!(
            !self.watch_panics.swap(false, Ordering::SeqCst),
            "told to panic"
        );
        futures_util::stream::pending().boxed()
    }

    async fn stand_in(&self) -> Option<Result<Arc<dyn EmbeddingStore>, ServiceError>> {
        self.stood_in.fetch_add(1, Ordering::SeqCst);
        std::future::pending().await
    }

    fn embedder(
        &self,
        _: &StoreStatus,
        _: &CollectionName,
    ) -> Result<Arc<dyn Embedder>, ServiceError> {
        Ok(Arc::clone(&self.embedder) as Arc<dyn Embedder>)
    }

    fn calibrated(&self, _: &Version) -> Option<f32> {
        None
    }

    async fn workshop(&self, _: &CollectionName) -> Result<Workshop, ServiceError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let _held = self.gate.lock().await;
        self.check()?;
        if *self.without_embedder.lock().unwrap() {
            let kind = ServiceErrorKind::Configuration;
            return Err(ServiceError::new(kind, "nobody embeds"));
        }
        Ok(Workshop {
            store: Arc::clone(&self.store) as Arc<dyn EmbeddingStore>,
            embedder: Arc::clone(&self.embedder) as Arc<dyn Embedder>,
            batch: BatchLimits {
                texts: 2,
                bytes: 10_000,
            },
            concurrency: 1,
            meter: Meter::default(),
            run: RunId::new(format!("run-{}", self.now().0)).unwrap(),
        })
    }

    async fn writable(&self) -> Result<(Arc<dyn EmbeddingStore>, RunId), ServiceError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let _held = self.gate.lock().await;
        self.check()?;
        let run = RunId::new(format!("run-{}", self.now().0)).unwrap();
        Ok((Arc::clone(&self.store) as Arc<dyn EmbeddingStore>, run))
    }

    fn has_source(&self) -> bool {
        self.source.lock().unwrap().is_some()
    }

    fn source(&self) -> Option<Result<SourceSnapshot, ServiceError>> {
        self.source.lock().unwrap().clone().map(Ok)
    }

    fn document(
        &self,
        name: &str,
        id: &str,
        bytes: Vec<u8>,
    ) -> Result<SourceSnapshot, ServiceError> {
        assert!(!name.starts_with("panic"), "told to panic");
        if name.starts_with("hang") {
            let held = self.hangs.lock().unwrap().take();
            held.unwrap().recv().unwrap_err();
        }
        let text = String::from_utf8(bytes)
            .map_err(|_| ServiceError::new(ServiceErrorKind::Invalid, "it is no text"))?;
        let pieces = text.split("\n\n").map(str::trim);
        Ok(document(
            id,
            &pieces.filter(|text| !text.is_empty()).collect::<Vec<_>>(),
        ))
    }

    /// A second passes whenever somebody looks.
    fn now(&self) -> Timestamp {
        let mut clock = self.clock.lock().unwrap();
        *clock += 1000;
        Timestamp(*clock)
    }
}

/// A document in these chunks.
pub(crate) fn document(id: &str, chunks: &[&str]) -> SourceSnapshot {
    let rows = chunks.iter().enumerate().map(|(chunk, text)| SourceRow {
        id: Some(id.to_owned()),
        chunk: u32::try_from(chunk).unwrap(),
        answer: (*text).to_owned(),
        ..SourceRow::default()
    });
    SourceSnapshot {
        kind: "documents".to_owned(),
        location: "manuals".to_owned(),
        name: "manuals".to_owned(),
        identity: Identity::Given,
        rows: rows.collect(),
        ..SourceSnapshot::default()
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// The status and the stable word of an error.
    pub(crate) fn problem(&self) -> (u16, String) {
        let kind = self.headers["content-type"].to_str().unwrap();
        assert_eq!(kind, "application/problem+json", "{:?}", self.json());
        let code = self.json()["code"].as_str().unwrap().to_owned();
        (self.status.as_u16(), code)
    }
}

impl Place {
    /// A service that has read its store, which is empty.
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// The same with other settings.
    pub(crate) async fn with(change: impl FnOnce(&mut ServiceSettings)) -> Self {
        let place = Self::begun(change, |_| {});
        place.until("/readyz", |answer| answer.status == 200).await;
        place
    }

    /// A service that may not have read its store yet, which may be another one.
    pub(crate) fn begun(
        change: impl FnOnce(&mut ServiceSettings),
        prepare: impl FnOnce(&Parts),
    ) -> Self {
        let backend = Arc::new(Parts {
            store: Arc::new(MemoryStore::new()),
            embedder: Arc::new(FakeEmbedder::new("m", 32, false)),
            source: Mutex::default(),
            away: Mutex::default(),
            panics: AtomicBool::new(false),
            watch_panics: AtomicBool::new(false),
            opens: Mutex::default(),
            stood_in: AtomicUsize::new(0),
            hangs: Mutex::default(),
            without_embedder: Mutex::default(),
            gate: tokio::sync::Mutex::default(),
            asked: AtomicUsize::new(0),
            clock: Mutex::new(1_700_000_000_000),
        });
        prepare(&backend);
        let mut settings = ServiceSettings::new(faq());
        settings.search_threads = 1;
        change(&mut settings);
        let service = Service::new(Arc::clone(&backend) as Arc<dyn Backend>, settings).unwrap();
        Self {
            router: router(&service),
            follower: tokio::spawn(follow(Arc::clone(&service))),
            service,
            backend,
        }
    }

    /// Brings rows into the store behind the service's back.
    pub(crate) async fn fill(&self, snapshot: SourceSnapshot) -> SyncReport {
        let backend = &self.backend;
        let clock = || backend.now();
        let context = SyncContext {
            store: &*backend.store,
            embedder: Arc::clone(&backend.embedder) as Arc<dyn Embedder>,
            progress: &NoProgress,
            clock: &clock,
            run: RunId::new(format!("fill-{}", backend.now().0)).unwrap(),
            batch: BatchLimits {
                texts: 100,
                bytes: 1 << 20,
            },
            concurrency: 1,
            meter: Meter::default(),
        };
        sync(&context, &faq(), snapshot, SyncPolicy::default())
            .await
            .unwrap()
    }

    /// The same, and the service has seen it.
    pub(crate) async fn filled(&self, snapshot: SourceSnapshot) -> SyncReport {
        let report = self.fill(snapshot).await;
        assert_eq!(self.post("/vectors/rebuild", "").await.status, 200);
        report
    }

    pub(crate) async fn call(&self, request: Request<Body>) -> Answer {
        let answer = self.router.clone().oneshot(request);
        let answer = tokio::time::timeout(DEADLINE, answer)
            .await
            .unwrap()
            .unwrap();
        let (parts, body) = answer.into_parts();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes().into(),
        }
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        address: &str,
        body: impl Into<Body>,
    ) -> Answer {
        let request = Request::builder().method(method).uri(address);
        self.call(request.body(body.into()).unwrap()).await
    }

    pub(crate) async fn get(&self, address: &str) -> Answer {
        self.send(Method::GET, address, "").await
    }

    pub(crate) async fn post(&self, address: &str, body: impl Into<Body>) -> Answer {
        self.send(Method::POST, address, body).await
    }

    pub(crate) async fn delete(&self, address: &str) -> Answer {
        self.send(Method::DELETE, address, "").await
    }

    /// Asks until the answer is one that is waited for.
    pub(crate) async fn until(&self, address: &str, is: impl Fn(&Answer) -> bool) -> Answer {
        let asking = async {
            loop {
                let answer = self.get(address).await;
                if is(&answer) {
                    return answer;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(DEADLINE, asking)
            .await
            .unwrap_or_else(|_| panic!("{address} never answered what was waited for"))
    }

    /// Waits until the store was asked for so often to be written.
    pub(crate) async fn until_asked(&self, times: usize) {
        let asking = async {
            while self.backend.asked.load(Ordering::SeqCst) < times {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(DEADLINE, asking).await.unwrap();
    }

    /// Waits for a job that was taken, and gives what became of it.
    pub(crate) async fn ended(&self, taken: &Answer) -> Value {
        assert_eq!(
            taken.status,
            202,
            "{}",
            String::from_utf8_lossy(&taken.body)
        );
        let address = taken.headers["location"].to_str().unwrap();
        let ended = |answer: &Answer| {
            !["waiting", "running"].contains(&answer.json()["state"].as_str().unwrap())
        };
        self.until(address, ended).await.json()
    }

    /// Sends a document, and waits for its job.
    pub(crate) async fn sent(&self, name: &str, text: &str) -> Value {
        let taken = self
            .post(&format!("/documents?name={name}"), text.to_owned())
            .await;
        self.ended(&taken).await
    }

    /// The best chunk of each document that a search finds, best first.
    pub(crate) async fn found(&self, text: &str) -> Vec<String> {
        let body = serde_json::json!({ "text": text, "top_k": 100 });
        let answer = self.post("/search", body.to_string()).await;
        assert_eq!(answer.status, 200, "{:?}", answer.json());
        let hits = answer.json()["hits"].as_array().unwrap().clone();
        hits.iter()
            .map(|hit| format!("{}:{}", hit["id"].as_str().unwrap(), hit["chunk"]))
            .collect()
    }

    /// The chunks of a document.
    pub(crate) async fn chunks(&self, id: &str) -> Vec<String> {
        let body = self.get(&format!("/vectors/document/{id}")).await.json();
        let chunks = body["chunks"].as_array().unwrap().iter();
        let text = |chunk: &Value| chunk["text_preview"].as_str().unwrap().to_owned();
        chunks.map(text).collect()
    }

    /// How many texts were paid for.
    pub(crate) fn paid(&self) -> usize {
        self.backend.embedder.texts().len()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

pub(crate) fn faq() -> CollectionName {
    CollectionName::new("faq").unwrap()
}
