//! `POST /v1/imports`: FHIR R4 JSON or NDJSON in, by staff. Answers as `patient import --json`.

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use http::header::{self, HeaderMap};
use http::{Response, StatusCode};
use serde_json::Value;

use super::caller::{body, signed_in};
use super::problem::{json, problem};
use super::site::Site;
use crate::features::care_plan::{ImportFile, import_files};
use crate::kernel::base::limits::IMPORT_BYTES_MAX;
use crate::kernel::base::{Code, Refusal};

/// Takes one body as one file.
pub async fn import(
    State(site): State<Site>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response<Body> {
    match run(&site, peer, request).await {
        Ok(report) => json(StatusCode::OK, &report),
        Err(refusal) => problem(&refusal),
    }
}

async fn run(site: &Site, peer: SocketAddr, request: Request) -> Result<Value, Refusal> {
    let (parts, content) = request.into_parts();
    let caller = signed_in(site, peer, &parts.headers).await?;
    let now = site.door().now();
    site.rates().take(caller.session, now)?;
    if caller.subject.kind.is_family() {
        // Before the body is read; policy says the same of what is in it.
        return Err(Refusal::forbidden("Importing is for members of staff."));
    }
    let _place = site
        .imports()
        .try_acquire()
        .map_err(|_| Refusal::new(Code::Busy).detail("Other imports are under way. Try again.").retry_after_ms(5000))?;
    let bytes = body(content, IMPORT_BYTES_MAX).await?;
    caller.state.touch(now);
    let name = if is_lines(&parts.headers, &bytes) { "body.ndjson" } else { "body.json" };
    let files = vec![ImportFile { name: name.into(), bytes }];
    let report = import_files(site.engine(), &caller.subject, files).await?;
    serde_json::to_value(&report).map_err(|_| Refusal::new(Code::Internal))
}

/// One resource a line: as the header says, or, where it says neither, when the first line is a whole JSON object and not the last.
fn is_lines(headers: &HeaderMap, bytes: &[u8]) -> bool {
    let class = headers.get(header::CONTENT_TYPE).and_then(|class| class.to_str().ok()).unwrap_or_default();
    let class = class.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if class.ends_with("ndjson") {
        return true;
    }
    if class == "application/json" || class == "application/fhir+json" {
        return false;
    }
    let mut lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let first = lines.next().is_some_and(|line| serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok());
    first && lines.next().is_some()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn lines_are_told_from_one_object() {
        let told = |class: &'static str, body: &str| {
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(class))]);
            is_lines(&headers, body.as_bytes())
        };
        assert!(told("application/fhir+ndjson", "{}") && told("application/x-ndjson; charset=utf-8", "{}"));
        assert!(!told("application/fhir+json", "{}\n{}"));
        assert!(told("application/x-www-form-urlencoded", "{}\n{}\n") && told("", "\n{}\r\n{}"));
        assert!(!told("", "{}\n") && !told("", "{\n}") && !told("", "") && !told("", "nonsense\nmore"));
    }
}
