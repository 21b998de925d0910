//! Which address is answered by what, under which terms. The description is made of the same declarations.

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::IntoResponse;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityScheme};
use utoipa::openapi::{InfoBuilder, OpenApi, OpenApiBuilder, RefOr, Required};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::guard::{Cost, Terms, admit, observe, panicked};
use crate::keys::Role;
use crate::problem::{Code, Problem};
use crate::routes;
use crate::service::Service;

type Routes = OpenApiRouter<Arc<Service>>;

/// Searching and looking.
fn readers() -> Routes {
    OpenApiRouter::new()
        .routes(routes!(routes::search::search))
        .routes(routes!(routes::predict::predict))
        .routes(routes!(routes::models::models))
        .routes(routes!(routes::vectors::stats))
        .routes(routes!(routes::vectors::document))
}

/// Changing what is stored.
fn writers() -> Routes {
    OpenApiRouter::new()
        .routes(routes!(routes::jobs::jobs))
        .routes(routes!(routes::jobs::job))
        .routes(routes!(routes::vectors::delete))
}

/// Comparing index and store: reads the whole store.
fn reviewers() -> Routes {
    OpenApiRouter::new()
        .routes(routes!(routes::vectors::drift))
        .routes(routes!(routes::vectors::rebuild))
}

/// Changing what is stored by sending documents or rows.
fn uploads() -> Routes {
    OpenApiRouter::new()
        .routes(routes!(routes::documents::upload))
        .routes(routes!(routes::vectors::sync))
}

/// Probes and descriptions, for everybody.
fn open() -> Routes {
    OpenApiRouter::new()
        .routes(routes!(routes::health::livez))
        .routes(routes!(routes::health::readyz))
        .routes(routes!(routes::described::openapi))
        .routes(routes!(routes::described::docs))
        .routes(routes!(routes::described::index))
}

/// Figures: whose texts they are of is not in them, but how busy the service is.
fn figures() -> Routes {
    OpenApiRouter::new().routes(routes!(routes::health::metrics))
}

/// Addresses that are answered under the same terms; none for those that are for everybody.
type Group = (Router<Arc<Service>>, Option<Terms>);

fn split() -> ([Group; 6], OpenApi) {
    let mut described = OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("Smart Support")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(
                    "Finds the stored entry that answers a question. Errors are problem details (RFC 9457) with a \
                     stable `code`.",
                )),
        )
        .build();
    let terms = |role, cost| Some(Terms { role, cost });
    let groups = [
        (readers(), terms(Role::Read, Cost::Usual)),
        (figures(), terms(Role::Read, Cost::Usual)),
        (writers(), terms(Role::Admin, Cost::Usual)),
        (reviewers(), terms(Role::Admin, Cost::Review)),
        (uploads(), terms(Role::Admin, Cost::Upload)),
        (open(), None),
    ];
    let routers = groups.map(|(routes, terms)| {
        let (router, own) = routes.split_for_parts();
        described.merge(own);
        (router, terms)
    });
    // Nothing is a body too here, and `null` is none: the declaration knows both or neither.
    let sync = described.paths.paths.get_mut("/vectors/sync");
    if let Some(RefOr::T(body)) = sync
        .and_then(|path| path.post.as_mut())
        .and_then(|operation| operation.request_body.as_mut())
    {
        body.required = Some(Required::False);
    }
    let components = described.components.get_or_insert_default();
    components.add_security_scheme(
        "key",
        SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-API-Key"))),
    );
    (routers, described)
}

/// The description of every address: OpenAPI 3.1.
#[must_use]
pub fn description() -> OpenApi {
    split().1
}

/// The whole service as one router: it can be called without a socket.
pub fn router(service: &Arc<Service>) -> Router {
    let (groups, _) = split();
    let mut all = Router::new();
    for (router, terms) in groups {
        let router = match terms {
            // A layer on nothing is a mistake to axum.
            _ if !router.has_routes() => continue,
            Some(terms) => {
                router.route_layer(from_fn_with_state((Arc::clone(service), terms), admit))
            }
            None => router.route_layer(from_fn(routes::described::within_time)),
        };
        all = all.merge(router);
    }
    all.fallback(missing)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(Arc::clone(service), observe))
        .with_state(Arc::clone(service))
}

async fn missing() -> axum::response::Response {
    Problem::new(
        Code::NotFound,
        "nothing is at this address; /openapi.json lists what there is",
    )
    .into_response()
}
