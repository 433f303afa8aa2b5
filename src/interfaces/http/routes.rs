//! The routes by path. Each has a limit on its body; all stand behind [`guard`](super::guard).

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use http::{Response, StatusCode};

use super::problem::{json, no_method, no_route};
use super::site::Site;
use super::{guard, health, page};

/// The routes of a server with keys.
pub fn routes(site: Site) -> Router {
    Router::new()
        .route("/", get(page::root))
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/.well-known/jwks.json", get(jwks))
        .fallback(|| async { no_route() })
        .method_not_allowed_fallback(|| async { no_method() })
        .layer(from_fn_with_state(site.clone(), guard::unsealed))
        .layer(from_fn(guard::outermost))
        .with_state(site)
}

/// The routes of a server that found no key: it lives, and says that it cannot serve.
pub fn sealed_routes() -> Router {
    Router::new()
        .route("/livez", get(health::livez))
        .fallback(|| async { guard::sealed() })
        .layer(from_fn(guard::outermost))
}

async fn jwks(State(site): State<Site>) -> Response<Body> {
    json(StatusCode::OK, site.jwks())
}
