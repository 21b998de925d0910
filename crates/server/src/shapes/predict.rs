//! `/predict`, in the shape that its clients know.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A question.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PredictRequest {
    /// The question.
    #[schema(
        min_length = 1,
        max_length = 8192,
        pattern = r"\S",
        example = "what is CPI for 2023?"
    )]
    pub(crate) query: String,
    /// The collection to answer from.
    pub(crate) collection: Option<String>,
}

/// An answer and what it rests on.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PredictBody {
    pub(crate) prediction: PredictionBody,
    /// From the headers to the answer.
    pub(crate) latency_ms: u64,
    /// The collection, the model and the version that answered.
    pub(crate) model_version: String,
}

/// What is stored that answers, in its own words.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PredictionBody {
    pub(crate) answer: String,
    /// Best first.
    pub(crate) citations: Vec<CitationBody>,
    /// The best score, 0 to 1.
    pub(crate) confidence: f32,
    /// `null`, `no_match` or `low_confidence`.
    pub(crate) failure_mode: Option<&'static str>,
}

/// A place that an answer was found in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CitationBody {
    /// The source's name.
    pub(crate) source: String,
    /// What is there.
    pub(crate) snippet: String,
    /// The page, from 1, or the row of data, from 0.
    pub(crate) page_or_row: Option<u64>,
}
