//! What stands in an address: checked, and refused in the form that every error has.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use storage_core::CollectionName;
use utoipa::IntoParams;

use crate::problem::{Code, Problem};
use crate::service::Service;

/// Characters of a name that is given to something.
const NAME_CHARS: usize = 128;
/// Characters of a collection's name.
const COLLECTION_CHARS: usize = 64;

/// What follows the question mark.
pub(crate) struct Parameters<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let read: Result<Query<T>, QueryRejection> = Query::from_request_parts(parts, state).await;
        read.map(|Query(parameters)| Self(parameters))
            .map_err(|error| invalid(format!("the address: {}", error.body_text())))
    }
}

/// The one variable part of a path.
pub(crate) struct Named(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let read: Result<Path<String>, PathRejection> =
            Path::from_request_parts(parts, state).await;
        read.map(|Path(name)| Self(name))
            .map_err(|error| invalid(format!("the address: {}", error.body_text())))
    }
}

/// Which collection is meant.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct OfCollection {
    /// The collection; left out, the service's own.
    #[param(min_length = 1, max_length = 64)]
    pub(crate) collection: Option<String>,
}

/// A name that somebody gives to a document: it is shown to people, and typed again by them.
pub(crate) fn document_id(id: &str) -> Result<&str, Problem> {
    let shown: String = id
        .chars()
        .filter(|char| !char.is_control())
        .take(80)
        .collect();
    if id.is_empty() || id.chars().nth(NAME_CHARS).is_some() {
        return Err(invalid(format!(
            "a document's id has 1 to {NAME_CHARS} characters: {shown:?}"
        )));
    }
    if id.starts_with(char::is_whitespace) || id.chars().any(char::is_control) {
        return Err(invalid(format!(
            "a document's id begins with no white space and holds no control characters: {shown:?}"
        )));
    }
    Ok(id)
}

/// A collection to write into, which need not be there yet.
pub(crate) fn collection(
    service: &Service,
    named: Option<&str>,
) -> Result<CollectionName, Problem> {
    let Some(name) = named else {
        return Ok(service.settings.collection.clone());
    };
    let shown: String = name.chars().take(COLLECTION_CHARS).collect();
    if name.is_empty() || name.chars().nth(COLLECTION_CHARS).is_some() {
        return Err(invalid(format!(
            "a collection's name has 1 to {COLLECTION_CHARS} characters: {shown:?}"
        )));
    }
    // As where it is read: there is none of that name, and there cannot be.
    CollectionName::new(name).map_err(|error| {
        Problem::new(
            Code::NoSuchCollection,
            format!("collection {shown:?}: {error}"),
        )
    })
}

pub(crate) fn invalid(detail: impl Into<String>) -> Problem {
    Problem::new(Code::InvalidRequest, detail)
}
