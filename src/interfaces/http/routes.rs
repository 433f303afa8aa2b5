//! The routes by path. Each has a limit on its body; all stand behind [`guard`](super::guard).

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, State};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{delete, get, post};
use http::{HeaderMap, Response, StatusCode};

use super::caller::signed_in;
use super::origin::is_local;
use super::problem::{json, no_method, no_route, problem};
use super::site::Site;
use super::{disclosures, exports, files, guard, health, imports, intake, ops, page, published, sessions};
use crate::kernel::base::Refusal;
use crate::kernel::policy::{self, Object, Right};

/// The routes of a server with keys, `more` among them.
pub fn routes(site: Site, more: Router) -> Router {
    Router::new()
        .route("/", get(page::root))
        .route("/{name}", get(page::beside))
        .route("/assets/{name}", get(page::asset))
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/.well-known/jwks.json", get(jwks))
        .route("/metrics", get(metrics))
        .route("/v1/asyncapi.json", get(published::asyncapi))
        .route("/v1/openapi.json", get(published::openapi))
        .route("/v1/channels/{channel}/files", post(files::upload))
        .route("/v1/channels/{channel}/files/{file}", get(files::download))
        .route("/v1/imports", post(imports::import))
        .route("/v1/intake/email", post(intake::email))
        .route("/v1/patients/{patient}/chart-status", get(exports::status))
        .route("/v1/patients/{patient}/exports", get(exports::list).post(exports::make))
        .route("/v1/patients/{patient}/exports/{export}", get(exports::fetch))
        .route("/v1/ops", post(ops::ops))
        .route("/v1/patients/{patient}/disclosures", get(disclosures::report))
        .route("/v1/sessions", post(sessions::open))
        .route("/v1/sessions/{which}", delete(sessions::end))
        .route("/v1/ws-tickets", post(sessions::ticket))
        .fallback(|| async { no_route() })
        .method_not_allowed_fallback(|| async { no_method() })
        .with_state(site.clone())
        .merge(more)
        .layer(from_fn_with_state(site, guard::unsealed))
        .layer(from_fn(guard::outermost))
}

/// The routes of a server that found no key: it lives, and says that it cannot serve.
pub fn sealed_routes() -> Router {
    Router::new()
        .route("/livez", get(health::livez))
        .fallback(|| async { guard::sealed() })
        .layer(from_fn(guard::outermost))
}

/// For this machine, or with an administrator's token.
async fn metrics(
    State(site): State<Site>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Response<Body> {
    if !is_local(peer, &headers, site.trusted_proxies()) {
        match signed_in(&site, peer, &headers).await {
            Ok(caller) => {
                let decided = policy::decide(&caller.subject, Right::Administer, Object::Server, site.door().now());
                if decided.is_err() {
                    return problem(&Refusal::forbidden("Metrics are for administrators."));
                }
            }
            Err(refusal) => return problem(&refusal),
        }
    }
    health::metrics(site.metrics())
}

async fn jwks(State(site): State<Site>) -> Response<Body> {
    json(StatusCode::OK, site.jwks())
}
