//! What requests and answers look like. Keys are part of the contract: more may be added, none renamed.

mod filters;
mod health;
mod models;
mod predict;
mod search;

pub(crate) use filters::FilterSpec;
pub(crate) use health::{Health, Readiness};
pub(crate) use models::{CollectionBody, ModelsBody, VersionBody};
pub(crate) use predict::{CitationBody, PredictBody, PredictRequest, PredictionBody};
pub(crate) use search::{BatchBody, SearchBody, SearchRequest, SearchSpec};
