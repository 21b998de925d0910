//! `/jobs`: what became of what was sent.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use crate::parameters::Named;
use crate::problem::{Code, Problem, ProblemBody};
use crate::request::json;
use crate::service::Service;
use crate::shapes::{JobBody, JobsBody};

/// Jobs that are told at once.
const NEWEST: usize = 100;

/// Tells how a job gets on, and what it did. Jobs are forgotten when the service ends, and the oldest after a while.
#[utoipa::path(
    get,
    path = "/jobs/{id}",
    tag = "jobs",
    security(("key" = [])),
    params(("id" = String, Path, description = "The job's id", min_length = 1)),
    responses(
        (status = 200, description = "The job", body = JobBody),
        (status = "default", description = "What went wrong", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn job(
    State(service): State<Arc<Service>>,
    Named(id): Named,
) -> Result<Response, Problem> {
    let job = service.jobs.get(&id);
    job.map(|job| json(&job)).ok_or_else(|| {
        Problem::new(
            Code::NoSuchJob,
            "there is no such job, or no longer: those that have ended are forgotten after a while",
        )
    })
}

/// Lists the newest jobs.
#[utoipa::path(
    get,
    path = "/jobs",
    tag = "jobs",
    security(("key" = [])),
    responses(
        (status = 200, description = "Jobs, newest first", body = JobsBody),
        (status = "default", description = "What went wrong", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn jobs(State(service): State<Arc<Service>>) -> Response {
    json(&JobsBody {
        schema: 1,
        jobs: service.jobs.newest(NEWEST),
    })
}
