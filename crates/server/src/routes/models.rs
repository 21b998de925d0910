//! `GET /models`: what is served, and what could be.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use crate::problem::{Problem, ProblemBody};
use crate::request::json;
use crate::service::Service;
use crate::shapes::{CollectionBody, ModelsBody, VersionBody};

/// Lists every collection with the model that it serves, and its other versions.
#[utoipa::path(
    get,
    path = "/models",
    tag = "models",
    security(("key" = [])),
    responses(
        (status = 200, description = "Collections, models and versions", body = ModelsBody),
        (status = "default", description = "What went wrong", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn models(State(service): State<Arc<Service>>) -> Result<Response, Problem> {
    let snapshot = service.snapshot()?;
    let status = &snapshot.status;
    let collections = status.collections.iter().map(|collection| {
        let served = snapshot.collections.get(&collection.name);
        let versions = collection.versions.iter().map(|version| VersionBody {
            id: version.id.to_string(),
            state: version.state.as_str().to_owned(),
            active: collection.active.as_ref() == Some(&version.id),
            model: status
                .space(&version.space)
                .map(|space| wire::Model::of(version, space)),
            records: version.records,
            threshold: service.backend.calibrated(version),
            created_at: wire::time(version.created_at),
        });
        CollectionBody {
            name: collection.name.to_string(),
            generation: collection.generation.0,
            records: collection.records,
            documents: collection.documents,
            model: wire::Model::active(status, &collection.name),
            embedder: served
                .and_then(|served| served.embedder.as_ref().err())
                .map(ToString::to_string),
            versions: versions.collect(),
        }
    });
    Ok(json(&ModelsBody {
        schema: 1,
        collections: collections.collect(),
    }))
}
