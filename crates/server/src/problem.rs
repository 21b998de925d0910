//! Errors as programs read them: RFC 9457 problem details, with a code that never changes.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::backend::{ServiceError, ServiceErrorKind};

/// What went wrong. The text may change, the code does not.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProblemBody {
    /// `urn:smart-support:` and the code.
    #[serde(rename = "type")]
    kind: String,
    /// The status in words.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What went wrong, and what to do about it.
    detail: String,
    /// Stable word for programs.
    code: String,
    /// The request's id, as in the log and in `X-Request-Id`.
    request_id: String,
}

/// Stable words for programs, each with its status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    InvalidRequest,
    InvalidVector,
    DimensionMismatch,
    KeyMissing,
    KeyWrong,
    KeyNotAllowed,
    ForeignPage,
    NotFound,
    NoSuchCollection,
    NoSuchDocument,
    NoSuchJob,
    MethodNotAllowed,
    Conflict,
    ModelMismatch,
    NotConfigured,
    TooLarge,
    UnsupportedMediaType,
    Unreadable,
    Refused,
    Internal,
    NotReady,
    Overloaded,
    ProviderUnavailable,
    StoreUnavailable,
    ShuttingDown,
    DeadlineExceeded,
}

impl Code {
    fn parts(self) -> (&'static str, StatusCode) {
        match self {
            Self::InvalidRequest => ("invalid-request", StatusCode::BAD_REQUEST),
            Self::InvalidVector => ("invalid-vector", StatusCode::BAD_REQUEST),
            Self::DimensionMismatch => ("dimension-mismatch", StatusCode::BAD_REQUEST),
            Self::KeyMissing => ("key-missing", StatusCode::UNAUTHORIZED),
            Self::KeyWrong => ("key-wrong", StatusCode::UNAUTHORIZED),
            Self::KeyNotAllowed => ("key-not-allowed", StatusCode::FORBIDDEN),
            Self::ForeignPage => ("foreign-page", StatusCode::FORBIDDEN),
            Self::NotFound => ("not-found", StatusCode::NOT_FOUND),
            Self::NoSuchCollection => ("no-such-collection", StatusCode::NOT_FOUND),
            Self::NoSuchDocument => ("no-such-document", StatusCode::NOT_FOUND),
            Self::NoSuchJob => ("no-such-job", StatusCode::NOT_FOUND),
            Self::MethodNotAllowed => ("method-not-allowed", StatusCode::METHOD_NOT_ALLOWED),
            Self::Conflict => ("conflict", StatusCode::CONFLICT),
            Self::ModelMismatch => ("model-mismatch", StatusCode::CONFLICT),
            Self::NotConfigured => ("not-configured", StatusCode::CONFLICT),
            Self::TooLarge => ("too-large", StatusCode::PAYLOAD_TOO_LARGE),
            Self::UnsupportedMediaType => {
                ("unsupported-media-type", StatusCode::UNSUPPORTED_MEDIA_TYPE)
            }
            Self::Unreadable => ("unreadable-document", StatusCode::UNPROCESSABLE_ENTITY),
            Self::Refused => ("refused", StatusCode::CONFLICT),
            Self::Internal => ("internal", StatusCode::INTERNAL_SERVER_ERROR),
            Self::NotReady => ("not-ready", StatusCode::SERVICE_UNAVAILABLE),
            Self::Overloaded => ("overloaded", StatusCode::SERVICE_UNAVAILABLE),
            Self::ProviderUnavailable => ("provider-unavailable", StatusCode::SERVICE_UNAVAILABLE),
            Self::StoreUnavailable => ("store-unavailable", StatusCode::SERVICE_UNAVAILABLE),
            Self::ShuttingDown => ("shutting-down", StatusCode::SERVICE_UNAVAILABLE),
            Self::DeadlineExceeded => ("deadline-exceeded", StatusCode::GATEWAY_TIMEOUT),
        }
    }

    /// The word.
    pub(crate) fn as_str(self) -> &'static str {
        self.parts().0
    }
}

/// An answer that says what went wrong.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(crate) code: Code,
    pub(crate) detail: String,
    /// Seconds after which it is worth trying again.
    retry_after: Option<u32>,
}

impl Problem {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        let retry_after = (code.parts().1 == StatusCode::SERVICE_UNAVAILABLE).then_some(1);
        Self {
            code,
            detail: detail.into(),
            retry_after,
        }
    }

    pub(crate) fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// What a caller need not know of an error, and the log tells.
    pub(crate) fn internal(error: &dyn std::fmt::Display) -> Self {
        tracing::error!("request failed: {error}");
        Self::new(
            Code::Internal,
            "something went wrong in the service; the log tells more under the request's id",
        )
    }
}

impl From<ServiceError> for Problem {
    fn from(error: ServiceError) -> Self {
        let code = match error.kind() {
            ServiceErrorKind::Unavailable => Code::StoreUnavailable,
            ServiceErrorKind::Model => Code::ModelMismatch,
            ServiceErrorKind::Invalid => Code::InvalidRequest,
            ServiceErrorKind::NotFound => Code::NotFound,
            ServiceErrorKind::Refused => Code::Refused,
            ServiceErrorKind::Configuration => Code::NotConfigured,
            ServiceErrorKind::Internal => return Self::internal(&error.chain()),
        };
        tracing::warn!("{}: {}", code.as_str(), error.chain());
        Self::new(code, error.to_string())
    }
}

/// Tells the layer that writes the body who asked: a problem is made before its request's id is known to it.
#[derive(Debug, Clone)]
pub(crate) struct Untold(pub(crate) Problem);

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.code.parts().1.into_response();
        response.extensions_mut().insert(Untold(self));
        response
    }
}

impl Problem {
    /// The answer itself.
    pub(crate) fn told(self, request_id: &str) -> Response {
        let (code, status) = self.code.parts();
        let body = ProblemBody {
            kind: format!("urn:smart-support:{code}"),
            title: status.canonical_reason().unwrap_or_default().to_owned(),
            status: status.as_u16(),
            detail: self.detail,
            code: code.to_owned(),
            request_id: request_id.to_owned(),
        };
        let text = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = (status, text).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("ApiKey header=\"X-API-Key\""),
            );
        }
        response
    }
}
