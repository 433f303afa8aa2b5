//! `GET /v1/openapi.json`, `GET /v1/asyncapi.json`: open to everybody, the same for everybody.

use axum::body::Body;
use axum::extract::State;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Response, StatusCode};

use super::site::Site;
use crate::interfaces::documents::Document;

/// HTTP.
pub async fn openapi(State(site): State<Site>, headers: HeaderMap) -> Response<Body> {
    answer(&site.documents().openapi, &headers)
}

/// The socket.
pub async fn asyncapi(State(site): State<Site>, headers: HeaderMap) -> Response<Body> {
    answer(&site.documents().asyncapi, &headers)
}

fn answer(document: &Document, asked: &HeaderMap) -> Response<Body> {
    let held = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut held = held.flat_map(|value| value.split(',')).map(|tag| tag.trim().trim_start_matches("W/"));
    let same = held.any(|tag| tag == document.etag || tag == "*");
    let mut response = Response::new(if same { Body::empty() } else { Body::from(document.text.clone()) });
    if same {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // To be kept, and asked about each time: a new version of the program has another one.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(etag) = HeaderValue::from_str(&document.etag) {
        headers.insert(header::ETAG, etag);
    }
    response
}
