//! A store, an embedder that counts, and sources made of a few rows.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use embedder_client::testing::FakeEmbedder;
use embedder_client::{BatchLimits, Meter};
use faq_source::{Identity, SourceRow, SourceSnapshot};
use futures_util::TryStreamExt;
use storage_core::{
    CollectionName, EmbeddingRecord, EmbeddingStore, Filter, Locator, MemoryStore, RunId, Timestamp,
};
use sync_engine::{NoProgress, SyncContext, SyncError, SyncPolicy, SyncReport, sync};

pub(crate) struct World {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) embedder: Arc<FakeEmbedder>,
    pub(crate) run: std::cell::Cell<u32>,
    pub(crate) now: Arc<AtomicI64>,
    pub(crate) clock: Box<dyn Fn() -> Timestamp + Send + Sync>,
}

impl World {
    pub(crate) fn new() -> Self {
        let embedder = Arc::new(FakeEmbedder::new("m", 32, false));
        let now = Arc::new(AtomicI64::new(0));
        let hand = Arc::clone(&now);
        Self {
            store: Arc::new(MemoryStore::new()),
            embedder,
            run: std::cell::Cell::new(0),
            now,
            clock: Box::new(move || Timestamp(hand.load(Ordering::Relaxed))),
        }
    }

    /// Sets the clock.
    pub(crate) fn set_clock(&self, now: i64) {
        self.now.store(now, Ordering::Relaxed);
    }

    pub(crate) fn context(&self) -> SyncContext<'_> {
        self.run.set(self.run.get() + 1);
        SyncContext {
            store: &*self.store,
            embedder: self.embedder.clone(),
            progress: &NoProgress,
            clock: &*self.clock,
            run: RunId::new(format!("run-{}", self.run.get())).unwrap(),
            batch: BatchLimits {
                texts: 4,
                bytes: 10_000,
            },
            concurrency: 2,
            meter: Meter::default(),
        }
    }

    pub(crate) async fn sync_with(
        &self,
        snapshot: SourceSnapshot,
        policy: SyncPolicy,
    ) -> Result<SyncReport, SyncError> {
        sync(&self.context(), &faq(), snapshot, policy).await
    }

    pub(crate) async fn sync(&self, snapshot: SourceSnapshot) -> SyncReport {
        self.sync_with(snapshot, SyncPolicy::default())
            .await
            .unwrap()
    }

    /// Texts sent since the last look.
    pub(crate) fn sent(&self, before: usize) -> Vec<String> {
        self.embedder.texts().split_off(before)
    }

    pub(crate) async fn rows(&self) -> Vec<EmbeddingRecord> {
        self.store
            .scan(&faq(), None, Filter::default())
            .try_collect()
            .await
            .unwrap()
    }

    pub(crate) async fn ids(&self) -> Vec<String> {
        self.rows()
            .await
            .into_iter()
            .map(|row| row.document.key.document)
            .collect()
    }
}

pub(crate) fn faq() -> CollectionName {
    CollectionName::new("faq").unwrap()
}

pub(crate) fn row(question: &str, answer: &str) -> SourceRow {
    SourceRow {
        question: question.into(),
        answer: answer.into(),
        category: Some("c".into()),
        ..SourceRow::default()
    }
}

pub(crate) fn snapshot(name: &str, rows: Vec<SourceRow>) -> SourceSnapshot {
    let rows: Vec<SourceRow> = rows
        .into_iter()
        .enumerate()
        .map(|(position, row)| SourceRow {
            locator: Locator {
                row: Some(position as u64 + 2),
                ..Locator::default()
            },
            ..row
        })
        .collect();
    let identity = if rows.iter().any(|row| row.id.is_some()) {
        Identity::Given
    } else {
        Identity::Derived
    };
    SourceSnapshot {
        kind: "csv".into(),
        location: name.into(),
        name: name.into(),
        identity,
        rows,
        ..SourceSnapshot::default()
    }
}

pub(crate) fn ten() -> Vec<SourceRow> {
    (0..10)
        .map(|number| row(&format!("question {number}"), &format!("answer {number}")))
        .collect()
}

pub(crate) fn with_ids(rows: Vec<SourceRow>) -> Vec<SourceRow> {
    rows.into_iter()
        .enumerate()
        .map(|(n, row)| SourceRow {
            id: Some(format!("id-{n}")),
            ..row
        })
        .collect()
}

pub(crate) fn counts(report: &SyncReport) -> [usize; 6] {
    [
        report.added,
        report.modified,
        report.relabelled,
        report.renamed,
        report.deleted,
        report.unchanged,
    ]
}
