//! What jobs do: read what was sent, and let `sync-engine` bring the store to it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use document_source::metadata::Metadata;
use embedder_client::Meter;
use faq_source::{Identity, IssueKind, RowIssue, SourceRow, SourceSnapshot};
use storage_core::{CollectionName, IMPORT_KINDS, Locator, MetadataValue, Source};
use sync_engine::{
    DeleteAllowance, Selection, SyncContext, SyncError, SyncErrorKind, SyncPolicy, SyncReport,
    UPLOAD, sync,
};

use crate::apart::apart;
use crate::backend::{ServiceError, ServiceErrorKind, Workshop};
use crate::jobs::{Heard, Unfinished};
use crate::problem::{Code, Problem};
use crate::service::Service;
use crate::shapes::{FailedBody, JobResult};

/// The source that owns whatever was sent.
const SENT: &str = "service";
/// Between two attempts to get at a store.
const AGAIN: Duration = Duration::from_millis(500);

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Task {
    /// A document that was sent.
    Document {
        name: String,
        id: String,
        bytes: Vec<u8>,
    },
    /// Chunks that were sent, of one or more documents.
    Rows {
        metadata: Box<Metadata>,
        bytes: usize,
    },
    /// The source that is configured.
    Source,
}

impl Task {
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Document { .. } => "documents",
            Self::Rows { .. } => "vectors",
            Self::Source => "sync",
        }
    }

    pub(crate) fn document(&self) -> Option<&str> {
        match self {
            Self::Document { id, .. } => Some(id),
            Self::Rows { .. } | Self::Source => None,
        }
    }

    /// What it holds while it waits.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Document { bytes, .. } => bytes.len(),
            Self::Rows { bytes, .. } => *bytes,
            Self::Source => 0,
        }
    }
}

/// Whether rows of a source may be replaced by what is sent: its own, and those that an import brought and nobody feeds.
pub(crate) fn is_free(source: &Source) -> bool {
    source.kind == UPLOAD || IMPORT_KINDS.contains(&source.kind.as_str())
}

/// Does a job. It is done when what it wrote is served.
pub(crate) async fn run(
    service: Arc<Service>,
    number: u64,
    collection: CollectionName,
    heard: Arc<Heard>,
    task: Task,
) -> Result<JobResult, Unfinished> {
    let (snapshot, policy) = read(&service, task).await?;
    let notices = snapshot.notices.clone();
    let report = {
        let _writing = service.jobs.writing.lock().await;
        let workshop = workshop(&service, &collection).await?;
        service.jobs.spends(number, &workshop.meter);
        let clock = || service.backend.now();
        let context = SyncContext {
            store: &*workshop.store,
            embedder: Arc::clone(&workshop.embedder),
            progress: &*heard,
            clock: &clock,
            run: workshop.run.clone(),
            batch: workshop.batch,
            concurrency: workshop.concurrency,
            meter: workshop.meter.clone(),
        };
        sync(&context, &collection, snapshot, policy)
            .await
            .map_err(|error| unfinished(error, &workshop.meter))?
    };
    if report.applied {
        let patience = service.settings.limits.upload_time;
        let served = service.serves(&collection, report.generation);
        tokio::select! {
            served = tokio::time::timeout(patience, served) => {
                served.map_err(|_| not_served(&service))?;
            }
            // It is written and complete; whoever serves next serves it.
            _ = service.jobs.ended() => {}
        }
    }
    Ok(result(report, notices, service.settings.limits.named_rows))
}

/// Opens the store for writing. Somebody else may hold it for long: that is waited for, within bounds.
async fn workshop(
    service: &Arc<Service>,
    collection: &CollectionName,
) -> Result<Workshop, Unfinished> {
    let until = Instant::now() + service.settings.limits.store_time;
    loop {
        let (backend, name) = (Arc::clone(&service.backend), collection.clone());
        // Apart: a store that is waited for in its own way does not hear of the end.
        let opening = apart(async move { backend.workshop(&name).await });
        let opened = tokio::select! {
            opened = opening => opened.map_err(|panic| Problem::internal(&panic))?,
            unfinished = service.jobs.ended() => return Err(unfinished),
        };
        match opened {
            Err(error)
                if error.kind() == ServiceErrorKind::Unavailable && Instant::now() < until =>
            {
                tracing::debug!("a job waits for its store: {}", error.chain());
            }
            opened => return Ok(opened.map_err(Problem::from)?),
        }
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            unfinished = service.jobs.ended() => return Err(unfinished),
        }
    }
}

fn not_served(service: &Service) -> Problem {
    let why = service.degraded();
    let why = why.as_deref().unwrap_or("the store changes all the time");
    Problem::new(
        Code::StoreUnavailable,
        format!("it is written, and not served yet: {why}"),
    )
}

fn unfinished(error: SyncError, meter: &Meter) -> Unfinished {
    let kind = error.kind();
    let problem = match kind {
        SyncErrorKind::SourceConflict => Problem::new(Code::Conflict, error.to_string()),
        SyncErrorKind::Embed(_) => {
            let error = ServiceError::from(error);
            match error.kind() {
                ServiceErrorKind::Unavailable => {
                    Problem::new(Code::ProviderUnavailable, error.chain())
                }
                _ => error.into(),
            }
        }
        SyncErrorKind::Stopped => Problem::new(Code::ShuttingDown, error.to_string()),
        _ => ServiceError::from(error).into(),
    };
    Unfinished {
        problem,
        stopped: kind == SyncErrorKind::Stopped && meter.is_stopped(),
    }
}

async fn read(
    service: &Arc<Service>,
    task: Task,
) -> Result<(SourceSnapshot, SyncPolicy), Unfinished> {
    let backend = Arc::clone(&service.backend);
    let reading = tokio::task::spawn_blocking(move || match task {
        Task::Document { name, id, bytes } => {
            let snapshot = backend.document(&name, &id, bytes);
            let snapshot = snapshot.map_err(|error| match error.kind() {
                ServiceErrorKind::Invalid => Problem::new(Code::Unreadable, error.chain()),
                _ => error.into(),
            })?;
            if snapshot.rows.is_empty() {
                let why = snapshot.rejected().next();
                let why = why.map_or("there is no text in it", |issue| &*issue.problem);
                return Err(Problem::new(Code::Unreadable, why));
            }
            Ok((sent(snapshot, &id), of([id].into())))
        }
        Task::Rows { metadata, .. } => {
            let (snapshot, ids) = rows(*metadata);
            Ok((snapshot, of(ids)))
        }
        Task::Source => {
            let snapshot = backend.source().ok_or_else(no_source)??;
            Ok((snapshot, SyncPolicy::default()))
        }
    });
    let patience = service.settings.limits.reading_time;
    tokio::select! {
        // A reader that hangs holds up neither the jobs behind it nor the end: it reads on, and nobody hears it.
        read = tokio::time::timeout(patience, reading) => {
            let read = read.map_err(|_| {
                let seconds = patience.as_secs();
                Problem::new(Code::Unreadable, format!("it could not be read within {seconds} s"))
            })?;
            let read = read.map_err(|panic| Problem::internal(&panic))?;
            Ok(read?)
        }
        unfinished = service.jobs.ended() => Err(unfinished),
    }
}

/// Why there is nothing to sync.
pub(crate) fn no_source() -> Problem {
    Problem::new(
        Code::NotConfigured,
        "no source is configured; set FAQ_PATH, or send rows",
    )
}

/// Documents that are sent are replaced whole, and nothing else is touched.
fn of(ids: BTreeSet<String>) -> SyncPolicy {
    SyncPolicy {
        deletes: DeleteAllowance::Percent(100.0),
        selection: Selection {
            ids,
            whole: true,
            ..Selection::default()
        },
        ..SyncPolicy::default()
    }
}

/// A document as it was read, as one of those that were sent.
fn sent(snapshot: SourceSnapshot, id: &str) -> SourceSnapshot {
    let own = |issue| RowIssue {
        id: Some(id.to_owned()),
        ..issue
    };
    let rows = snapshot.rows.into_iter();
    SourceSnapshot {
        kind: UPLOAD.to_owned(),
        location: "documents that were sent".to_owned(),
        name: SENT.to_owned(),
        identity: Identity::Given,
        rows: rows
            .map(|row| SourceRow {
                id: Some(id.to_owned()),
                ..row
            })
            .collect(),
        issues: snapshot.issues.into_iter().map(own).collect(),
        notices: snapshot.notices,
    }
}

/// What a `metadata.json` says, in the form in which an import of it would have left it, and the documents it speaks of.
fn rows(metadata: Metadata) -> (SourceSnapshot, BTreeSet<String>) {
    let mut ids = BTreeSet::new();
    let mut taken = Vec::with_capacity(metadata.rows.len());
    for row in metadata.rows {
        ids.insert(row.document_id.clone());
        let place = (
            "faiss_index".to_owned(),
            MetadataValue::I64(row.faiss_index),
        );
        taken.push(SourceRow {
            id: Some(row.document_id),
            chunk: row.chunk_index,
            answer: row.text,
            metadata: row.metadata.into_iter().chain([place]).collect(),
            locator: Locator {
                row: Some(row.row),
                ..Locator::default()
            },
            ..SourceRow::default()
        });
    }
    let issues = metadata.faults.into_iter().map(|fault| {
        // A chunk that cannot be read is still there: what is stored of its document stays.
        let document = fault.id.and_then(|id| {
            let (document, _) = id.rsplit_once(':')?;
            Some(document.to_owned())
        });
        RowIssue {
            kind: IssueKind::Malformed,
            id: document,
            locator: Locator {
                row: Some(fault.row),
                ..Locator::default()
            },
            column: None,
            problem: fault.reason,
        }
    });
    let snapshot = SourceSnapshot {
        kind: UPLOAD.to_owned(),
        location: "documents that were sent".to_owned(),
        name: SENT.to_owned(),
        identity: Identity::Given,
        issues: issues.collect(),
        rows: taken,
        notices: Vec::new(),
    };
    (snapshot, ids)
}

fn result(report: SyncReport, mut notices: Vec<String>, named: usize) -> JobResult {
    notices.truncate(named);
    let failed_count = report.failed.len();
    let failed = report.failed.into_iter().take(named).map(|row| FailedBody {
        id: row.id,
        row: row.locator.row,
        page: row.locator.page,
        reason: row.reason,
    });
    JobResult {
        synced: report.added
            + report.modified
            + report.relabelled
            + report.renamed
            + report.unchanged,
        added: report.added,
        modified: report.modified,
        relabelled: report.relabelled,
        renamed: report.renamed,
        deleted: report.deleted,
        withheld: report.withheld,
        unchanged: report.unchanged,
        embedded: report.embedded,
        reused: report.reused,
        requests: report.requests,
        tokens: report.tokens,
        failed_count,
        failed: failed.collect(),
        notices,
        generation: report.generation.0,
    }
}
