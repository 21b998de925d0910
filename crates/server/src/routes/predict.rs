//! `POST /predict`: an answer in the words of what is stored, with its citations.

use std::sync::{Arc, Once};
use std::time::Instant;

use axum::extract::State;
use axum::response::Response;
use retriever::predict as decide;

use crate::problem::{Problem, ProblemBody};
use crate::request::{Json, json};
use crate::routes::search::{Checked, answer};
use crate::service::Service;
use crate::shapes::{CitationBody, PredictBody, PredictRequest, PredictionBody, SearchSpec};

/// The confidence that answers need while a version is not calibrated: the seed's.
const CONFIDENCE: f32 = 0.6;

/// It is said once.
static UNCALIBRATED: Once = Once::new();

/// Answers a question from what is stored, or says which way it failed to.
#[utoipa::path(
    post,
    path = "/predict",
    tag = "search",
    security(("key" = [])),
    request_body = PredictRequest,
    responses(
        (status = 200, description = "An answer, or a failure mode", body = PredictBody),
        (status = "default", description = "What went wrong", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn predict(
    State(service): State<Arc<Service>>,
    Json(request): Json<PredictRequest>,
) -> Result<Response, Problem> {
    let started = Instant::now();
    let snapshot = service.snapshot()?;
    let spec = SearchSpec {
        text: Some(request.query),
        collection: request.collection,
        // What is far away is cited too, so that a person can see why the answer is doubted.
        threshold: Some(-1.0),
        ..SearchSpec::default()
    };
    let asked = Checked::new(&service, &snapshot, spec)?
        .ask(&service)
        .await?;
    let mut answered = answer(&service, vec![asked]).await?;
    let answered = answered
        .pop()
        .ok_or_else(|| Problem::internal(&"one question, no answer"))?;
    let served = &answered.asked.served;
    let needed = service.settings.confidence.or(served.calibrated);
    if needed.is_none() {
        UNCALIBRATED.call_once(|| {
            tracing::warn!(
                "collection {} is not calibrated: /predict answers from {CONFIDENCE} on, which is a number for another \
                 model; smart-support eval GOLDEN --calibrate finds this one's",
                served.name
            );
        });
    }
    let needed = needed.unwrap_or(CONFIDENCE);
    let prediction = decide(&answered.searched.hits, Some(needed));
    let citations = prediction
        .citations
        .into_iter()
        .map(|citation| CitationBody {
            source: citation.source,
            snippet: citation.snippet,
            page_or_row: citation.page_or_row,
        });
    let version = served
        .version
        .as_ref()
        .map_or("empty", |version| version.short());
    let model = served
        .model
        .as_ref()
        .map_or("none", |model| model.name.as_str());
    Ok(json(&PredictBody {
        prediction: PredictionBody {
            answer: prediction.answer,
            citations: citations.collect(),
            confidence: prediction.confidence,
            failure_mode: prediction.failure_mode.map(|mode| mode.as_str()),
        },
        latency_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        model_version: format!("{}-{model}-{version}", served.name),
    }))
}
