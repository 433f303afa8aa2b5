//! `GET /` and what belongs to it: the web client of `clients/web/dist`, which is part of the program.
//! Does not know what the client does. Invariant: what is not in that folder is not served.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::LazyLock;

use axum::body::Body;
use axum::extract::Path;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use rust_embed::{EmbeddedFile, RustEmbed};

use super::problem::no_route;

/// What a file answers to `If-None-Match` is a hash of its bytes: names stay the same from build to build, and after an
/// upgrade no browser may go on with the scripts of yesterday.
const ASK_AGAIN: &str = "no-cache";

#[derive(RustEmbed)]
#[folder = "clients/web/dist"]
struct Dist;

/// `GET /`
pub async fn root(headers: HeaderMap) -> Response<Body> {
    file("index.html", &headers)
}

/// `GET /icon.svg` and the like: files that stand beside the page.
pub async fn beside(Path(name): Path<String>, headers: HeaderMap) -> Response<Body> {
    file(&name, &headers)
}

/// `GET /assets/{name}`
pub async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response<Body> {
    file(&format!("assets/{name}"), &headers)
}

/// A file as it is sent.
struct Ready {
    tag: String,
    media_type: String,
    plain: Bytes,
    /// Where that is smaller. Nothing secret stands beside it, so its length tells nothing (no CRIME).
    gzip: Option<Bytes>,
}

static FILES: LazyLock<HashMap<String, Ready>> = LazyLock::new(|| {
    let found = |path: std::borrow::Cow<'static, str>| Dist::get(&path).map(|file| (path.into_owned(), ready(file)));
    Dist::iter().filter_map(found).collect()
});

fn ready(file: EmbeddedFile) -> Ready {
    let kind = file.metadata.mimetype();
    let media_type = if kind.starts_with("text/") { format!("{kind}; charset=utf-8") } else { kind.to_owned() };
    let digits: String = file.metadata.sha256_hash().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let plain = Bytes::from(file.data.into_owned());
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let packed = encoder.write_all(&plain).and_then(|()| encoder.finish());
    let gzip = packed.ok().filter(|packed| packed.len() < plain.len() / 10 * 9).map(Bytes::from);
    Ready { tag: format!("\"{digits}\""), media_type, plain, gzip }
}

fn file(path: &str, asked: &HeaderMap) -> Response<Body> {
    let Some(found) = FILES.get(path) else { return no_route() };
    let gzip = found.gzip.as_ref().filter(|_| takes_gzip(asked));
    // Another form of the same file is another entity (RFC 9110 section 8.8.3.3).
    let tag = if gzip.is_some() { found.tag.replacen('"', "\"gz-", 1) } else { found.tag.clone() };
    let known = asked.get(header::IF_NONE_MATCH).is_some_and(|known| names(known, &tag));
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, text: &str| {
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.insert(name, value);
        }
    };
    set(header::ETAG, &tag);
    set(header::CACHE_CONTROL, ASK_AGAIN);
    set(header::VARY, "Accept-Encoding");
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return response;
    }
    set(header::CONTENT_TYPE, &found.media_type);
    if gzip.is_some() {
        set(header::CONTENT_ENCODING, "gzip");
    }
    *response.body_mut() = Body::from(gzip.unwrap_or(&found.plain).clone());
    response
}

/// RFC 9110 section 12.5.3, as far as browsers use it.
fn takes_gzip(asked: &HeaderMap) -> bool {
    let named = asked.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    named.flat_map(|value| value.split(',')).any(|coding| {
        let (name, quality) = coding.split_once(';').unwrap_or((coding, ""));
        name.trim().eq_ignore_ascii_case("gzip") && !matches!(quality.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000")
    })
}

/// RFC 9110 section 13.1.2; a weak tag of the same bytes will do.
fn names(known: &HeaderValue, tag: &str) -> bool {
    let known = known.to_str().unwrap_or_default();
    known.split(',').map(str::trim).any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}
