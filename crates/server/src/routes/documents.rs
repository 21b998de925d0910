//! `POST /documents`: a document becomes chunks, and chunks become vectors.

use std::sync::Arc;

use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use utoipa::IntoParams;

use crate::jobs::Jobs;
use crate::parameters::{self, Parameters, document_id, invalid};
use crate::problem::{Code, Problem, ProblemBody};
use crate::request::{Raw, json};
use crate::service::Service;
use crate::shapes::JobBody;
use crate::work::{self, Task};

/// What is sent.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Upload {
    /// The file's name; its extension tells its kind: pdf, docx, html, md, txt. Without one, Content-Type tells it.
    #[param(
        min_length = 1,
        max_length = 128,
        pattern = "^[^\\s\\x00-\\x1f\\x7f-\\x9f][^\\x00-\\x1f\\x7f-\\x9f]*$",
        example = "manual.pdf"
    )]
    name: String,
    /// The document's id; left out, the name. What was sent under it before is replaced.
    #[param(
        min_length = 1,
        max_length = 128,
        pattern = "^[^\\s\\x00-\\x1f\\x7f-\\x9f][^\\x00-\\x1f\\x7f-\\x9f]*$"
    )]
    id: Option<String>,
    /// The collection; left out, the service's own.
    #[param(min_length = 1, max_length = 64)]
    collection: Option<String>,
}

/// Takes a document. It is read, cut into chunks and embedded by a job, which the answer names; when that is done, searches
/// find the document as a whole. A document of the same id is replaced: what did not change in it is not paid for again.
#[utoipa::path(
    post,
    path = "/documents",
    tag = "documents",
    security(("key" = [])),
    params(Upload),
    request_body(
        content = Vec<u8>,
        content_type = "application/octet-stream",
        description = "The document's bytes: PDF, docx, HTML, Markdown or text"
    ),
    responses(
        (status = 202, description = "Taken; the job tells what became of it", body = JobBody,
            headers(("Location" = String, description = "The job's address"))),
        (status = "default", description = "What went wrong", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn upload(
    State(service): State<Arc<Service>>,
    Parameters(upload): Parameters<Upload>,
    request: Request,
) -> Result<Response, Problem> {
    let name = document_id(&upload.name)?;
    let id = document_id(upload.id.as_deref().unwrap_or(name))?.to_owned();
    let collection = parameters::collection(&service, upload.collection.as_deref())?;
    let name = with_extension(name, request.headers())?;
    check_owner(&service, &collection, &id)?;
    let (bytes, _place) = receive(&service, request).await?;
    if bytes.is_empty() {
        return Err(invalid("the body is empty: send the document's bytes"));
    }
    let task = Task::Document { name, id, bytes };
    Jobs::add(&service, collection, task).map(|job| accepted(&job))
}

/// Receives a body, few at a time: whoever makes something larger of it keeps the place until that is done.
pub(crate) async fn receive(
    service: &Service,
    request: Request,
) -> Result<(Vec<u8>, OwnedSemaphorePermit), Problem> {
    let Ok(place) = Arc::clone(&service.jobs.receiving).try_acquire_owned() else {
        return Err(Problem::new(
            Code::Overloaded,
            "too many uploads at a time; try again in a moment",
        ));
    };
    let Raw(bytes) = Raw::from_request(request, &()).await?;
    Ok((bytes.into(), place))
}

/// The answer to whoever has sent something.
pub(crate) fn accepted(job: &JobBody) -> Response {
    let mut response = (StatusCode::ACCEPTED, json(job)).into_response();
    if let Ok(address) = HeaderValue::from_str(&format!("/jobs/{}", job.id)) {
        response.headers_mut().insert(header::LOCATION, address);
    }
    response
}

/// A document has one source. The job asks the store itself; this spares sending in vain.
fn check_owner(
    service: &Service,
    collection: &storage_core::CollectionName,
    id: &str,
) -> Result<(), Problem> {
    let Some(snapshot) = service.current.load_full() else {
        return Ok(());
    };
    let Some(served) = snapshot.collections.get(collection) else {
        return Ok(());
    };
    let first = served.index.rows_of(id).next();
    let owner = first.and_then(|row| served.index.entry(row)?.source());
    let source = owner.and_then(|owner| served.sources.get(owner));
    match source {
        Some(source) if !work::is_free(source) => Err(Problem::new(
            Code::Conflict,
            format!(
                "document {id:?} of collection {collection} belongs to {}, and is what that says: send it under another \
                 id, or into another collection",
                source.id
            ),
        )),
        _ => Ok(()),
    }
}

/// The name by which the document is read: with the extension of what it is said to be, where it has none.
fn with_extension(name: &str, headers: &HeaderMap) -> Result<String, Problem> {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default();
    let essence = essence.trim().to_ascii_lowercase();
    if essence.starts_with("multipart/") {
        return Err(Problem::new(
            Code::UnsupportedMediaType,
            "send the document itself as the body, not as a form: curl --data-binary @manual.pdf '…/documents?name=manual.pdf'",
        ));
    }
    let has_one = std::path::Path::new(name).extension().is_some();
    let extension = match essence.as_str() {
        _ if has_one => return Ok(name.to_owned()),
        "application/pdf" => "pdf",
        "text/html" | "application/xhtml+xml" => "html",
        "text/markdown" => "md",
        "text/plain" => "txt",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document" => "docx",
        _ => return Ok(name.to_owned()),
    };
    Ok(format!("{name}.{extension}"))
}
