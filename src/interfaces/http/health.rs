//! What machines ask: is it alive, can it serve, how is it doing.

use axum::body::Body;
use axum::extract::State;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::guard::sealed;
use super::problem::{json, problem, with_status};
use super::site::Site;
use crate::kernel::base::{Code, Refusal};
use crate::kernel::policy::Book;

/// `GET /livez`: the process answers. For restarting.
pub async fn livez() -> Response<Body> {
    json(StatusCode::OK, &json!({ "status": "ok" }))
}

/// `GET /readyz`: it can serve. For routing.
pub async fn readyz(State(site): State<Site>) -> Response<Body> {
    if site.is_sealed() {
        return sealed();
    }
    if site.is_draining() {
        let refusal = Refusal::new(Code::Busy).detail("The server is going down. Come back to another one.");
        return with_status(StatusCode::SERVICE_UNAVAILABLE, &refusal);
    }
    match site.engine().shared().db.read().await {
        Ok(_) => json(StatusCode::OK, &standing(site.engine().book())),
        Err(_) => problem(&Refusal::new(Code::Busy).detail("The database does not answer.")),
    }
}

/// Whether the record holds as far as it was walked. One that does not is no reason to route elsewhere: reads go on, and so do writes to
/// every other channel.
fn standing(book: &Book) -> Value {
    match (book.held_channels(), book.is_suspect()) {
        (0, false) => json!({ "status": "ok" }),
        (held, suspect) => json!({ "status": "degraded", "channels_held": held, "record_suspect": suspect }),
    }
}

/// Prometheus text format 0.0.4.
pub fn metrics(text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    let class = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, class);
    response
}
