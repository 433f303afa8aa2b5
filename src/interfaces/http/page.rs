//! `GET /`: a plain page that says what answers here. No script, nothing from elsewhere.

use axum::body::Body;
use http::Response;
use http::header::{self, HeaderValue};

const PAGE: &str = "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>Carethread</title>\n</head>\n<body>\n\
<main>\n<h1>Carethread</h1>\n<p>Secure messaging for care teams. This server speaks WebSocket at <code>/v1/ws</code> \
(subprotocol <code>carethread.v1</code>) and takes the same operations by <code>POST /v1/ops</code>.</p>\n\
<p>Frames, operations and errors: <code>docs/protocol.md</code>. Its public keys: \
<a href=\"/.well-known/jwks.json\">/.well-known/jwks.json</a>.</p>\n</main>\n</body>\n</html>\n";

/// Answers the page.
pub async fn root() -> Response<Body> {
    let mut response = Response::new(Body::from(PAGE));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response
}
