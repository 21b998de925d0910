//! `/vectors`: what is stored, by document; and bringing index and store into step.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::response::Response;
use document_source::metadata::{self, Limits, MetadataErrorKind};
use retriever::{Drift, Entry};
use serde::Deserialize;
use storage_core::{CollectionName, MetadataValue, Timestamp};
use sync_engine::{Removed, remove_document};
use utoipa::IntoParams;

use crate::apart::{apart, apart_while_wanted, blocking};
use crate::backend::ServiceError;
use crate::drift;
use crate::jobs::Jobs;
use crate::parameters::{self, Named, OfCollection, Parameters, invalid};
use crate::problem::{Code, Problem, ProblemBody};
use crate::request::json;
use crate::routes::documents::{accepted, receive};
use crate::service::Service;
use crate::shapes::{
    ChunkBody, DeletedBody, DocumentBody, DocumentStats, DriftBody, JobBody, RebuildBody, StatsBody,
};
use crate::snapshot::Snapshot;
use crate::work::{self, Task};

/// Characters of a preview.
const PREVIEW: usize = 200;
/// A deletion that is stored is told, also when the index takes longer than this to follow.
const SERVED: Duration = Duration::from_secs(3);

/// Counts the vectors, and those of each document.
#[utoipa::path(
    get,
    path = "/vectors/stats",
    tag = "vectors",
    security(("key" = [])),
    params(OfCollection),
    responses(
        (status = 200, description = "How much there is", body = StatsBody),
        (status = "default", description = "What went wrong", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn stats(
    State(service): State<Arc<Service>>,
    Parameters(of): Parameters<OfCollection>,
) -> Result<Response, Problem> {
    let served = service.collection(&*service.snapshot()?, of.collection.as_deref())?;
    blocking(move || {
        let index = &served.index;
        let documents = index.documents().map(|document| DocumentStats {
            document_id: document.id.to_owned(),
            vector_count: document.rows.len(),
            total_chars: document
                .rows
                .filter_map(|row| index.entry(row))
                .map(|entry| text(&entry).chars().count())
                .sum(),
        });
        json(&StatsBody {
            total_vectors: index.len(),
            total_documents: index.document_count(),
            per_document: documents.collect(),
        })
    })
    .await
}

/// Lists a document's chunks. A `/` in the id is written as `%2F`.
#[utoipa::path(
    get,
    path = "/vectors/document/{id}",
    tag = "vectors",
    security(("key" = [])),
    params(("id" = String, Path, description = "The document's id", min_length = 1), OfCollection),
    responses(
        (status = 200, description = "The document in its chunks", body = DocumentBody),
        (status = "default", description = "What went wrong", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn document(
    State(service): State<Arc<Service>>,
    Named(id): Named,
    Parameters(of): Parameters<OfCollection>,
) -> Result<Response, Problem> {
    let snapshot = service.snapshot()?;
    let served = service.collection(&snapshot, of.collection.as_deref())?;
    let rows = served.index.rows_of(&id);
    if rows.is_empty() {
        return Err(no_such_document(&id, served.name.as_str()));
    }
    let version = served.version.as_ref().and_then(|version| {
        let collection = snapshot.status.collection(&served.name)?;
        Some(collection.version(version)?.created_at)
    });
    blocking(move || {
        let entries = rows.filter_map(|row| served.index.entry(row));
        let chunks: Vec<ChunkBody> = entries.map(|entry| chunk(&entry, version)).collect();
        json(&DocumentBody {
            document_id: id,
            chunk_count: chunks.len(),
            chunks,
        })
    })
    .await
}

/// The text of a chunk; an entry without an answer is its question.
fn text<'a>(entry: &Entry<'a>) -> &'a str {
    match entry.body() {
        "" => entry.title(),
        body => body,
    }
}

fn chunk(entry: &Entry<'_>, version: Option<Timestamp>) -> ChunkBody {
    let text = text(entry);
    let own = entry
        .decode()
        .and_then(|row| match row.metadata.get("created_at") {
            Some(MetadataValue::String(time)) => Some(time.clone()),
            _ => None,
        });
    ChunkBody {
        id: number(entry),
        chunk_index: entry.chunk(),
        text_preview: text.chars().take(PREVIEW).collect(),
        text_length: text.chars().count(),
        faiss_index: entry.position(),
        created_at: own.unwrap_or_else(|| wire::time(version.unwrap_or_default())),
    }
}

/// 53 bits of a hash: as many as a program that knows only floating-point numbers keeps apart.
fn number(entry: &Entry<'_>) -> u64 {
    let mut hash = blake3::Hasher::new();
    hash.update(entry.document_id().as_bytes());
    hash.update(&[0]);
    hash.update(&entry.chunk().to_le_bytes());
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hash.finalize().as_bytes()[..8]);
    u64::from_le_bytes(bytes) >> 11
}

fn no_such_document(id: &str, collection: &str) -> Problem {
    let id: String = id.chars().take(80).collect();
    Problem::new(
        Code::NoSuchDocument,
        format!("there is no document {id:?} in collection {collection}"),
    )
}

/// Deletes a document with all its chunks, whichever source it is of. When this answers with `served`, no search finds it
/// any more.
#[utoipa::path(
    delete,
    path = "/vectors/document/{id}",
    tag = "vectors",
    security(("key" = [])),
    params(("id" = String, Path, description = "The document's id", min_length = 1), OfCollection),
    responses(
        (status = 200, description = "Deleted", body = DeletedBody),
        (status = "default", description = "What went wrong", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn delete(
    State(service): State<Arc<Service>>,
    Named(id): Named,
    Parameters(of): Parameters<OfCollection>,
) -> Result<Response, Problem> {
    let collection = {
        let served = service.collection(&*service.snapshot()?, of.collection.as_deref())?;
        served.name.clone()
    };
    // A job may write for minutes: whoever waits that long is better told so.
    let patience = service.settings.limits.request_time / 4;
    let writing = Arc::clone(&service.jobs.writing).lock_owned();
    let writing = tokio::time::timeout(patience, writing);
    let Ok(writing) = writing.await else {
        return Err(Problem::new(
            Code::StoreUnavailable,
            "a job is writing; try again when it is done (/jobs)",
        )
        .retry_after(5));
    };
    let under_way = Jobs::beside(&service)?;
    let removing = {
        let (service, collection, id) = (Arc::clone(&service), collection.clone(), id.clone());
        // To its end, also when the client is gone: a deletion that is half done is none.
        apart(async move {
            let removed = remove(&service, &collection, &id).await;
            drop((writing, under_way));
            removed
        })
    };
    let removed = removing.await.map_err(|panic| Problem::internal(&panic))?;
    let removed = removed?.ok_or_else(|| no_such_document(&id, collection.as_str()))?;
    let served = service.serves(&collection, removed.generation);
    let served = tokio::time::timeout(SERVED, served).await.is_ok();
    Ok(json(&DeletedBody {
        served,
        document_id: id,
        deleted: removed.rows,
        source: removed.owner.to_string(),
        returns: removed.source.is_some_and(|source| !work::is_free(&source)),
    }))
}

async fn remove(
    service: &Service,
    collection: &CollectionName,
    id: &str,
) -> Result<Option<Removed>, ServiceError> {
    let (store, run) = service.backend.writable().await?;
    let clock = || service.backend.now();
    Ok(remove_document(&*store, &clock, &run, collection, id).await?)
}

/// Brings documents to what a `metadata.json` says of them: its rows as a list, under `chunks`, or under their places in
/// the index. Other documents stay. Chunks whose text is stored cost nothing, the others are embedded. Without a body,
/// or with `{"source": true}`, the configured source is synced instead. The answer names the job that does it.
#[utoipa::path(
    post,
    path = "/vectors/sync",
    tag = "vectors",
    security(("key" = [])),
    params(OfCollection),
    request_body(content = SyncRequest, description = "Rows in one of three forms, or which source"),
    responses(
        (status = 202, description = "Taken; the job tells what became of it", body = JobBody,
            headers(("Location" = String, description = "The job's address"))),
        (status = "default", description = "What went wrong", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn sync(
    State(service): State<Arc<Service>>,
    Parameters(of): Parameters<OfCollection>,
    request: Request,
) -> Result<Response, Problem> {
    let collection = parameters::collection(&service, of.collection.as_deref())?;
    let (bytes, place) = receive(&service, request).await?;
    let task = if is_source(&bytes) {
        if collection != service.settings.collection {
            return Err(invalid(format!(
                "the configured source is one of collection {}",
                service.settings.collection
            )));
        }
        if !service.backend.has_source() {
            return Err(work::no_source());
        }
        Task::Source
    } else {
        let length = bytes.len();
        let parse = blocking(move || {
            let parsed = metadata::parse(&*bytes, Limits::default());
            drop(place);
            parsed
        });
        let metadata = parse.await?.map_err(|error| {
            let code = match error.kind() {
                MetadataErrorKind::TooLarge => Code::TooLarge,
                _ => Code::InvalidRequest,
            };
            Problem::new(code, format!("the body: {error}"))
        })?;
        Task::Rows {
            metadata: Box::new(metadata),
            bytes: length,
        }
    };
    Jobs::add(&service, collection, task).map(|job| accepted(&job))
}

/// What may be sent to be synced: only described, the reader takes it row by row. A row is an object: `document_id` is a
/// text or a number, `text` a text; `chunk_index`, `faiss_index`, `embedding_model` and `created_at` may be there, and what
/// else is there is kept as metadata. Rows that are otherwise stop nothing: the job names them.
#[derive(serde::Serialize, utoipa::ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "only described")]
pub(crate) enum SyncRequest {
    /// A list of rows.
    Rows(Vec<serde_json::Value>),
    /// Rows and what they have in common, or the configured source.
    Object(Box<SyncObject>),
}

/// Rows under `chunks`, or each under its place in the index; or `source`, alone.
#[derive(serde::Serialize, utoipa::ToSchema)]
#[allow(dead_code, reason = "only described")]
pub(crate) struct SyncObject {
    /// `true` for the configured source.
    #[schema(required = false)]
    source: serde_json::Value,
    /// Rows.
    #[schema(required = false)]
    chunks: Vec<serde_json::Value>,
    /// What embedded them.
    embedding_model: Option<String>,
    /// How their vectors are compared.
    metric: Option<String>,
    /// Numbers of a vector.
    dimension: Option<u64>,
}

/// The configured source.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SourceRequest {
    source: bool,
}

/// Whether the configured source is meant.
fn is_source(bytes: &[u8]) -> bool {
    let bytes = bytes.trim_ascii();
    bytes.is_empty()
        || bytes.len() < 64
            && serde_json::from_slice(bytes).is_ok_and(|asked: SourceRequest| asked.source)
}

/// How thoroughly index and store are compared.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DriftDepth {
    /// Compare the vectors too, number by number: reads the whole store.
    vectors: Option<bool>,
}

/// Compares the index with the store, row by row.
#[utoipa::path(
    get,
    path = "/vectors/drift",
    tag = "vectors",
    security(("key" = [])),
    params(DriftDepth),
    responses(
        (status = 200, description = "What they do not agree on", body = DriftBody),
        (status = "default", description = "What went wrong", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn drift(
    State(service): State<Arc<Service>>,
    Parameters(depth): Parameters<DriftDepth>,
) -> Result<Response, Problem> {
    let snapshot = service.snapshot()?;
    let vectors = depth.vectors == Some(true);
    let mut compared =
        apart_while_wanted(async move { compare(&service, &snapshot, vectors).await });
    let compared = compared.done().await;
    let compared = compared.map_err(|panic| Problem::internal(&panic))?;
    Ok(json(&compared?))
}

async fn compare(
    service: &Service,
    snapshot: &Snapshot,
    vectors: bool,
) -> Result<DriftBody, ServiceError> {
    let store = service.backend.open().await?;
    let status = store.status().await?;
    let mut collections = Vec::new();
    let mut in_step = true;
    let names = status.collections.iter().map(|collection| &collection.name);
    let names = names.chain(snapshot.collections.keys());
    for name in names.collect::<std::collections::BTreeSet<_>>() {
        let served = snapshot.collections.get(name).cloned();
        let rows = served.as_ref().map_or(0, |served| served.index.len());
        let drift = match served {
            Some(served) if vectors => served.index.compare(&*store).await?,
            served => {
                let (_, stored) = store.fingerprints(name).await?;
                match served {
                    Some(served) => served.index.drift(&stored),
                    None => drift::lacking(stored.into_iter().map(|row| row.key)),
                }
            }
        };
        let missing = status.collection(name).map_or(0, |found| found.missing);
        in_step &= drift.is_empty() && missing == 0;
        collections.push(drift::body(name.as_str(), rows, missing, &drift));
    }
    Ok(DriftBody {
        schema: 1,
        in_step,
        generation: snapshot.generation().0,
        store_generation: status.generation.0,
        collections,
    })
}

/// Builds the index anew from the store, whatever generation it is of, and tells what that changed.
#[utoipa::path(
    post,
    path = "/vectors/rebuild",
    tag = "vectors",
    security(("key" = [])),
    responses(
        (status = 200, description = "Built anew", body = RebuildBody),
        (status = "default", description = "What went wrong", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn rebuild(State(service): State<Arc<Service>>) -> Result<Response, Problem> {
    let started = Instant::now();
    let (old, new) = service.rebuilt().await?;
    blocking(move || {
        let names = old.collections.keys().chain(new.collections.keys());
        let names: std::collections::BTreeSet<_> = names.collect();
        let mut in_step = true;
        let collections = names.into_iter().map(|name| {
            let (before, now) = (old.collections.get(name), new.collections.get(name));
            let drift = match (before, now) {
                (Some(before), Some(now)) => drift::between(&before.index, &now.index),
                (None, Some(now)) => drift::lacking(now.index.entries().map(|row| row.key())),
                (Some(before), None) => Drift {
                    ghosts: before.index.entries().map(|row| row.key()).collect(),
                    ..Drift::default()
                },
                (None, None) => Drift::default(),
            };
            in_step &= drift.is_empty();
            let found = new.status.collection(name);
            drift::body(
                name.as_str(),
                now.map_or(0, |served| served.index.len()),
                found.map_or(0, |found| found.missing),
                &drift,
            )
        });
        let collections = collections.collect();
        json(&RebuildBody {
            schema: 1,
            in_step,
            generation: new.generation().0,
            ms: started.elapsed().as_secs_f64() * 1e3,
            collections,
        })
    })
    .await
}
