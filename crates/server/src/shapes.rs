//! What requests and answers look like. Keys are part of the contract: more may be added, none renamed.

mod filters;
mod health;
mod jobs;
mod models;
mod predict;
mod search;
mod vectors;

pub(crate) use filters::FilterSpec;
pub(crate) use health::{Health, Readiness};
pub(crate) use jobs::{FailedBody, JobBody, JobProblem, JobResult, JobsBody, ProgressBody};
pub(crate) use models::{CollectionBody, ModelsBody, VersionBody};
pub(crate) use predict::{CitationBody, PredictBody, PredictRequest, PredictionBody};
pub(crate) use search::{BatchBody, SearchBody, SearchRequest, SearchSpec};
pub(crate) use vectors::{
    ChunkBody, CollectionDrift, DeletedBody, DocumentBody, DocumentStats, DriftBody, RebuildBody,
    RowName, RowsBody, StatsBody,
};
