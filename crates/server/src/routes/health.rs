//! Probes and figures.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};

use crate::guard::has_key;
use crate::problem::{Code, Problem, ProblemBody};
use crate::request::json;
use crate::service::Service;
use crate::shapes::{Health, Readiness};

/// The process is alive.
#[utoipa::path(
    get,
    path = "/livez",
    tag = "health",
    responses((status = 200, description = "Alive", body = Health))
)]
pub(crate) async fn livez() -> Response {
    json(&Health { status: "alive" })
}

/// Questions can be answered: the index is loaded. `degraded` while answers may be out of date, with the reason.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "health",
    responses(
        (status = 200, description = "Ready, or degraded", body = Readiness),
        (status = 503, description = "Not ready yet, or about to end", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn readyz(
    State(service): State<Arc<Service>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let trusted = has_key(&service, &headers);
    if service.is_ending() {
        return Err(Problem::new(
            Code::ShuttingDown,
            "the service is about to end",
        ));
    }
    // Paths and hosts are for whoever has a key; a probe learns that something is wrong.
    let told = |reason: String| {
        if trusted {
            reason
        } else {
            "what is wrong is told with a key, and in the log".to_owned()
        }
    };
    let snapshot = service
        .snapshot()
        .map_err(|problem| Problem::new(problem.code, told(problem.detail)).retry_after(2))?;
    let reason = service.degraded().map(told);
    Ok(json(&Readiness {
        status: if reason.is_some() {
            "degraded"
        } else {
            "ready"
        },
        reason,
        generation: snapshot.generation().0,
        rows: snapshot
            .collections
            .values()
            .map(|served| served.index.len())
            .sum(),
        loaded_at: wire::time(snapshot.loaded_at),
    }))
}

/// Figures for Prometheus.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "health",
    security(("key" = [])),
    responses(
        (status = 200, description = "The text format of Prometheus", body = String, content_type = "application/openmetrics-text"),
        (status = "default", description = "What went wrong", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn metrics(State(service): State<Arc<Service>>) -> Result<Response, Problem> {
    let metrics = &service.metrics;
    metrics
        .cache_entries
        .set(i64::try_from(service.questions.len()).unwrap_or(i64::MAX));
    metrics
        .degraded
        .set(i64::from(service.degraded().is_some()));
    let questions = i64::try_from(service.questions.waiting()).unwrap_or(i64::MAX);
    metrics.waiting_questions.set(questions);
    let waiting = i64::try_from(service.searches.waiting()).unwrap_or(i64::MAX);
    metrics.waiting_searches.set(waiting);
    let text = metrics.text().map_err(|error| Problem::internal(&error))?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}
