//! Around every route: credentials in URLs are refused before anything is logged, a sealed server says so, and every answer
//! carries the headers a browser is to be held by.

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use http::header::{self, HeaderName, HeaderValue};
use http::{Response, StatusCode};

use super::problem::{problem, with_status};
use super::site::Site;
use super::upgrade::{credential_in_query, credential_refusal};
use crate::kernel::base::{Code, Refusal};

/// What a page of ours may load: itself, no inline script, nothing from elsewhere.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; \
    font-src 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/// On every answer.
const ALWAYS: [(HeaderName, &str); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
];

/// Refuses a credential in the URL; adds the headers to whatever the inside answers.
pub async fn outermost(request: Request, next: Next) -> Response<Body> {
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let mut response = if request.uri().query().is_some_and(credential_in_query) {
        with_status(StatusCode::BAD_REQUEST, &credential_refusal())
    } else {
        next.run(request).await
    };
    let status = response.status().as_u16().to_string();
    metrics::counter!("carethread_http_requests_total", "route" => route, "status" => status).increment(1);
    let headers = response.headers_mut();
    for (name, value) in ALWAYS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if headers.get(header::CONTENT_TYPE).is_some_and(|class| class.as_bytes().starts_with(b"text/html")) {
        // Content of a record says itself that it may do less.
        headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(CONTENT_SECURITY_POLICY));
    }
    // A static file says itself how long it may be kept.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// While no key is loaded everything but `/livez` and `/readyz` is 503.
pub async fn unsealed(State(site): State<Site>, request: Request, next: Next) -> Response<Body> {
    let open = matches!(request.uri().path(), "/livez" | "/readyz");
    if !open && site.is_sealed() {
        return sealed();
    }
    next.run(request).await
}

/// What a sealed server answers.
#[must_use]
pub fn sealed() -> Response<Body> {
    // Which file is missing is for the log, not for strangers.
    problem(&Refusal::new(Code::Sealed).detail("No key is loaded: nothing can be read. An operator has to provide it."))
}
