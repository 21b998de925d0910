//! What every request passes: an id, a key, a place, a deadline; and what every answer carries.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use tracing::Instrument;

use crate::keys::Role;
use crate::metrics::{Metrics, RequestLabels};
use crate::problem::{Code, Problem, Untold};
use crate::request::BodyLimit;
use crate::service::Service;

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
static API_KEY: HeaderName = HeaderName::from_static("x-api-key");
static FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The id of a request: the client's where it is a harmless one, else a number of this process.
fn request_id(request: &Request) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let given = request.headers().get(&REQUEST_ID);
    let given = given.and_then(|id| id.to_str().ok());
    let harmless = |id: &&str| {
        (1..=64).contains(&id.len())
            && id
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
    };
    given.filter(harmless).map_or_else(
        || {
            format!(
                "{:x}-{:x}",
                std::process::id(),
                NEXT.fetch_add(1, Ordering::Relaxed)
            )
        },
        ToOwned::to_owned,
    )
}

/// Around everything: id, log line, figures, and errors in their one form.
pub(crate) async fn observe(
    State(service): State<Arc<Service>>,
    request: Request,
    next: Next,
) -> Response {
    let id = request_id(&request);
    let started = Instant::now();
    let method = request.method().clone();
    // So much of it that it can be found again.
    let path: String = request.uri().path().chars().take(200).collect();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "(none)".to_owned(), |path| path.as_str().to_owned());
    let span = tracing::info_span!("request", id = %id);
    let metrics = Arc::clone(&service.metrics);
    let in_flight = InFlight::begin(&metrics, &span, &route);
    let response = next.run(request).instrument(span.clone()).await;
    in_flight.end();
    let mut response = settle(response, &id);
    let took = started.elapsed();
    let status = response.status();
    metrics.request_seconds.observe(took.as_secs_f64());
    let labels = RequestLabels {
        route: route.clone(),
        status: status.as_u16(),
    };
    metrics.requests.get_or_create(&labels).inc();
    let ms = took.as_secs_f64() * 1e3;
    let _entered = span.enter();
    // A probe each second says nothing that anybody wants to read.
    if status.is_server_error() {
        tracing::warn!("{} {ms:>8.1} ms  {method} {path}", status.as_u16());
    } else if matches!(route.as_str(), "/livez" | "/readyz" | "/metrics") {
        tracing::debug!("{} {ms:>8.1} ms  {method} {path}", status.as_u16());
    } else {
        tracing::info!("{} {ms:>8.1} ms  {method} {path}", status.as_u16());
    }
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID.clone(), id);
    }
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

/// A request that is being answered; dropped before its end, it is one whose client has gone.
struct InFlight<'a> {
    metrics: &'a Metrics,
    span: &'a tracing::Span,
    route: &'a str,
    ended: bool,
}

impl<'a> InFlight<'a> {
    fn begin(metrics: &'a Metrics, span: &'a tracing::Span, route: &'a str) -> Self {
        metrics.in_flight.inc();
        Self {
            metrics,
            span,
            route,
            ended: false,
        }
    }

    fn end(mut self) {
        self.ended = true;
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.metrics.in_flight.dec();
        if self.ended {
            return;
        }
        /// What web servers write down of a client that has gone.
        const GONE: u16 = 499;
        let labels = RequestLabels {
            route: self.route.to_owned(),
            status: GONE,
        };
        self.metrics.requests.get_or_create(&labels).inc();
        let _entered = self.span.enter();
        tracing::debug!("the client has gone before it was answered");
    }
}

/// Gives every error its one form, those of the router and of a panic too.
fn settle(mut response: Response, id: &str) -> Response {
    if let Some(Untold(problem)) = response.extensions_mut().remove::<Untold>() {
        let mut told = problem.told(id);
        for (name, value) in response.headers() {
            if !told.headers().contains_key(name) && name != header::CONTENT_LENGTH {
                told.headers_mut().insert(name.clone(), value.clone());
            }
        }
        return told;
    }
    let code = match response.status() {
        StatusCode::METHOD_NOT_ALLOWED => Code::MethodNotAllowed,
        StatusCode::INTERNAL_SERVER_ERROR => Code::Internal,
        _ => return response,
    };
    let allow = response.headers().get(header::ALLOW).cloned();
    let text = match code {
        Code::MethodNotAllowed => "this address takes other methods; /openapi.json lists them",
        _ => "something went wrong in the service; the log tells more under the request's id",
    };
    let mut told = Problem::new(code, text).told(id);
    if let Some(allow) = allow {
        told.headers_mut().insert(header::ALLOW, allow);
    }
    told
}

/// Answers after a panic.
pub(crate) fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    Problem::internal(&"a handler panicked").into_response()
}

/// What a group of routes asks of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    /// Who may ask.
    pub(crate) role: Role,
    /// What it may cost.
    pub(crate) cost: Cost,
}

/// How much a request may bring, and how long it may take.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cost {
    Usual,
    /// The whole store is read.
    Review,
    /// A document may come.
    Upload,
}

/// A key, a place, a deadline.
pub(crate) async fn admit(
    State((service, terms)): State<(Arc<Service>, Terms)>,
    mut request: Request,
    next: Next,
) -> Response {
    if let Err(problem) = check_key(&service, &request, terms.role) {
        return refuse(problem, request).await;
    }
    // What was accepted is answered; what would change the store begins no more.
    if service.is_ending() && terms.role == Role::Admin && request.method() != Method::GET {
        let problem = Problem::new(Code::ShuttingDown, "the service is about to end");
        return refuse(problem, request).await;
    }
    let Ok(_place) = service.places.try_acquire() else {
        let problem = Problem::new(
            Code::Overloaded,
            "too many requests at a time; try again in a moment",
        );
        return refuse(problem, request).await;
    };
    let limits = &service.settings.limits;
    let (bytes, time) = match terms.cost {
        Cost::Usual => (limits.body_bytes, limits.request_time),
        Cost::Review => (limits.body_bytes, limits.review_time),
        Cost::Upload => (limits.upload_bytes, limits.upload_time),
    };
    request.extensions_mut().insert(BodyLimit(bytes));
    match tokio::time::timeout(time, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let mut response = Problem::new(
                Code::DeadlineExceeded,
                format!("no answer within {} s, which is the limit", time.as_secs()),
            )
            .into_response();
            // What is left of its body must not be taken for the next request.
            response
                .headers_mut()
                .insert(header::CONNECTION, HeaderValue::from_static("close"));
            response
        }
    }
}

/// Refuses a request. A client that is still sending would take the end of the connection for the answer, so what it
/// sends at once is read first.
async fn refuse(problem: Problem, request: Request) -> Response {
    const BYTES: usize = 1 << 20;
    const TIME: Duration = Duration::from_millis(500);
    // Who asks before it sends has not begun.
    if !request.headers().contains_key(header::EXPECT) {
        let body = http_body_util::Limited::new(request.into_body(), BYTES);
        let _ = tokio::time::timeout(TIME, body.collect()).await;
    }
    problem.into_response()
}

/// Without a key everybody on this machine may ask, the pages in their browsers may not: neither from another origin,
/// nor under a name that somebody else points at this machine.
fn check_page(request: &Request) -> Result<(), Problem> {
    let text = |name: &HeaderName| {
        request
            .headers()
            .get(name)
            .and_then(|text| text.to_str().ok())
    };
    let host = text(&header::HOST);
    let is_here = |host: &str| {
        let name = host.rsplit_once(':').map_or(host, |(name, port)| {
            let is_port = port.bytes().all(|byte| byte.is_ascii_digit());
            if is_port { name } else { host }
        });
        let name = name.trim_start_matches('[').trim_end_matches(']');
        name.eq_ignore_ascii_case("localhost")
            || name
                .parse::<IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    };
    let same_origin = |origin: &str| {
        let own = origin.split_once("://").map(|(_, own)| own);
        own.is_some() && own == host
    };
    let foreign = host.is_some_and(|host| !is_here(host))
        || text(&header::ORIGIN).is_some_and(|origin| !same_origin(origin))
        || matches!(text(&FETCH_SITE), Some("cross-site" | "same-site"));
    if foreign {
        return Err(Problem::new(
            Code::ForeignPage,
            "this service has no key, so it answers programs on its own machine and no pages of others; give it one \
             (SMART_SUPPORT_API_KEY)",
        ));
    }
    Ok(())
}

/// Whether the key that comes with a request is one of the service's.
pub(crate) fn has_key(service: &Service, headers: &HeaderMap) -> bool {
    let keys = &service.settings.keys;
    let known = |presented: &HeaderValue| keys.find(presented.as_bytes()).is_some();
    keys.is_empty() || headers.get(&API_KEY).is_some_and(known)
}

fn check_key(service: &Service, request: &Request, role: Role) -> Result<(), Problem> {
    let keys = &service.settings.keys;
    if keys.is_empty() {
        return check_page(request);
    }
    let Some(presented) = request.headers().get(&API_KEY) else {
        return Err(Problem::new(
            Code::KeyMissing,
            "a key is needed; send it in the header X-API-Key",
        ));
    };
    let Some(key) = keys.find(presented.as_bytes()) else {
        return Err(Problem::new(
            Code::KeyWrong,
            "this is no key of this service",
        ));
    };
    if key.role() < role {
        return Err(Problem::new(
            Code::KeyNotAllowed,
            "this key may search and look; changing what is stored needs an admin key",
        ));
    }
    tracing::debug!("key {}", key.name());
    Ok(())
}
