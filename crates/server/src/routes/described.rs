//! The description of the service, for programs and for people.

use std::sync::{Arc, LazyLock};

use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use utoipa::openapi::OpenApi;

use crate::problem::{Code, Problem};
use crate::router::description;
use crate::service::Service;

/// Everything is described once.
static DESCRIPTION: LazyLock<OpenApi> = LazyLock::new(description);
static AS_JSON: LazyLock<Vec<u8>> =
    LazyLock::new(|| serde_json::to_vec(&*DESCRIPTION).unwrap_or_default());

/// Describes every address: OpenAPI 3.1.
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "description",
    responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value))
)]
pub(crate) async fn openapi() -> Response {
    (
        [(header::CONTENT_TYPE, "application/json")],
        AS_JSON.as_slice(),
    )
        .into_response()
}

/// Describes every address for a person.
#[utoipa::path(
    get,
    path = "/docs",
    tag = "description",
    responses((status = 200, description = "A page", body = String, content_type = "text/html"))
)]
pub(crate) async fn docs() -> Response {
    let mut page = head("Smart Support API");
    for (path, item) in &DESCRIPTION.paths.paths {
        let methods = [
            ("GET", &item.get),
            ("POST", &item.post),
            ("DELETE", &item.delete),
        ];
        for (method, operation) in methods {
            let Some(operation) = operation else { continue };
            let summary = operation.summary.as_deref().unwrap_or_default();
            let key = if operation.security.is_some() {
                " (key)"
            } else {
                ""
            };
            page.push_str(&format!(
                "<h2><code>{method} {path}</code>{key}</h2><p>{}</p>",
                escaped(summary)
            ));
        }
    }
    page.push_str("<p>Shapes, limits and codes: <a href=\"/openapi.json\">openapi.json</a></p>");
    Html(page).into_response()
}

/// Lists what there is.
#[utoipa::path(
    get,
    path = "/",
    tag = "description",
    responses((status = 200, description = "A page of links", body = String, content_type = "text/html"))
)]
pub(crate) async fn index(State(service): State<Arc<Service>>) -> Response {
    let state = match (service.snapshot(), service.degraded()) {
        (Err(_), _) => "not ready yet".to_owned(),
        (Ok(_), Some(_)) => "degraded".to_owned(),
        (Ok(snapshot), None) => format!("serving generation {}", snapshot.generation().0),
    };
    let mut page = head("Smart Support");
    page.push_str(&format!("<p>{}</p><ul>", escaped(&state)));
    for (address, what) in [
        ("/docs", "what can be asked, for people"),
        ("/openapi.json", "the same for programs"),
        ("/models", "collections, models and versions"),
        ("/readyz", "whether questions can be answered"),
        ("/livez", "whether the process is alive"),
        ("/metrics", "figures for Prometheus"),
    ] {
        page.push_str(&format!(
            "<li><a href=\"{address}\">{address}</a>: {what}</li>"
        ));
    }
    page.push_str("</ul>");
    Html(page).into_response()
}

fn head(title: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\
         <style>body{{font:16px/1.5 system-ui;max-width:48rem;margin:2rem auto;padding:0 1rem}}</style><h1>{title}</h1>"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// These need no key; a body that comes with them is not read, and they are answered at once.
pub(crate) async fn within_time(request: Request, next: Next) -> Response {
    const TIME: std::time::Duration = std::time::Duration::from_secs(5);
    match tokio::time::timeout(TIME, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(Code::DeadlineExceeded, "no answer in time").into_response(),
    }
}
