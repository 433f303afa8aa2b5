//! `/v1/patients/{patient}/exports` and `chart-status`: an export as a file, fetched within ten minutes by who made it; what is on its
//! way to targets; what is charted.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{ConnectInfo, Path, Query, Request, State};
use bytes::Bytes;
use futures_util::stream;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Response, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::OwnedSemaphorePermit;

use super::caller::{body, signed_in};
use super::problem::{json as answer, problem};
use super::site::Site;
use crate::features::channels::Class;
use crate::features::chart::exports::{Fetched, Waiting, attested, preview};
use crate::features::chart::{ExportRequest, Format};
use crate::features::identity::SignedIn;
use crate::kernel::base::limits::FRAME_BYTES;
use crate::kernel::base::world::parse_rfc3339;
use crate::kernel::base::{ChannelId, Code, EntryId, ItemId, Micros, PatientId, Refusal, ThingId};

/// What a browser that shows a file all the same lets it do: nothing.
const SANDBOX: &str = "sandbox; default-src 'none'; frame-ancestors 'none'";

/// What is asked of an export, as a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    format: Option<String>,
    /// An attested draft instead: it says the rest.
    export: Option<ThingId>,
    since: Option<String>,
    channels: Option<Vec<ChannelId>>,
    items: Option<Vec<ItemId>>,
    classes: Option<Vec<Class>>,
    entries: Option<Vec<EntryId>>,
    from: Option<String>,
    to: Option<String>,
    #[serde(default)]
    with_patient: bool,
    purpose: Option<String>,
    /// Not made: shown as it will be, with an `export` that waits to be signed for or filed.
    #[serde(default)]
    preview: bool,
    /// For the file, or only for the promise of it.
    #[serde(default = "yes")]
    wait: bool,
}

const fn yes() -> bool {
    true
}

impl Asked {
    /// Names nothing beside an export.
    const fn is_alone(&self) -> bool {
        let Self { format, since, channels, items, classes, entries, from, to, with_patient, purpose, .. } = self;
        let narrowed = channels.is_some() || items.is_some() || classes.is_some() || entries.is_some();
        !narrowed
            && !*with_patient
            && format.is_none()
            && since.is_none()
            && from.is_none()
            && to.is_none()
            && purpose.is_none()
    }

    fn request(self, patient: PatientId) -> Result<ExportRequest, Refusal> {
        let format = self.format.as_deref().and_then(Format::from_text);
        let format = format.ok_or_else(|| Refusal::invalid("format", "This server does not write that format."))?;
        if self.since.as_deref().is_some_and(|since| since != "last") {
            return Err(Refusal::invalid("since", "`since` is `last`, or absent."));
        }
        let (from, to) = (time("from", self.from.as_deref())?, time("to", self.to.as_deref())?);
        let Self { channels, items, classes, entries, since, with_patient, purpose, .. } = self;
        let since_last = since.is_some();
        let all = ExportRequest::all(patient, format);
        Ok(ExportRequest { channels, items, classes, entries, from, to, since_last, with_patient, purpose, ..all })
    }
}

fn time(field: &'static str, text: Option<&str>) -> Result<Option<Micros>, Refusal> {
    let wrong = |_| Refusal::invalid(field, "A time is written as RFC 3339: 2026-11-21T21:00:00Z.");
    text.map(parse_rfc3339).transpose().map_err(wrong)
}

async fn caller(site: &Site, peer: SocketAddr, headers: &HeaderMap) -> Result<SignedIn, Refusal> {
    let caller = signed_in(site, peer, headers).await?;
    let now = site.door().now();
    site.rates().take(caller.session, now)?;
    caller.state.touch(now);
    Ok(caller)
}

/// `POST`: makes an export and says where it is fetched.
pub async fn make(
    State(site): State<Site>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(patient): Path<String>,
    request: Request,
) -> Response<Body> {
    match made(&site, peer, &patient, request).await {
        Ok(Made::File(status, made)) => answer(status, &made),
        Ok(Made::Preview(page)) => sandboxed(Body::from(page), "text/html; charset=utf-8"),
        Err(refusal) => problem(&refusal),
    }
}

/// What comes of it.
enum Made {
    File(StatusCode, Value),
    Preview(Vec<u8>),
}

fn place(site: &Site) -> Result<OwnedSemaphorePermit, Refusal> {
    Arc::clone(site.exports())
        .try_acquire_owned()
        .map_err(|_| Refusal::new(Code::Busy).detail("Other exports are being made. Try again.").retry_after_ms(5000))
}

async fn made(site: &Site, peer: SocketAddr, patient: &str, request: Request) -> Result<Made, Refusal> {
    let (parts, content) = request.into_parts();
    let caller = caller(site, peer, &parts.headers).await?;
    let patient: PatientId = patient.parse().map_err(|_| Refusal::not_found())?;
    let bytes = body(content, FRAME_BYTES).await?;
    let wrong = |_| {
        Refusal::new(Code::BadFrame)
            .detail("The body is a JSON object with `format` or `export`; see docs/protocol.md.")
    };
    let asked: Asked = serde_json::from_slice(&bytes).map_err(wrong)?;
    let waits = asked.wait;
    if asked.preview {
        let export = asked.export.filter(|_| asked.is_alone() && waits);
        let alone = || Refusal::invalid("preview", "It goes with `export`, and with nothing beside that.");
        let export = export.ok_or_else(alone)?;
        let _place = place(site)?;
        let page = preview(site.spool().engine(), &caller.subject, patient, export).await;
        return page.map(Made::Preview).map_err(|stop| stop.refusal());
    }
    let request = match asked.export {
        Some(export) if asked.is_alone() => {
            attested(site.spool().engine(), &caller.subject, patient, export).await.map_err(|stop| stop.refusal())?
        }
        Some(_) => {
            return Err(Refusal::invalid("export", "What is attested says the rest: nothing is named beside it."));
        }
        None => asked.request(patient)?,
    };
    let place = place(site)?;
    if !waits {
        let promised = site.spool().promise(&caller.subject, request, place).await.map_err(|stop| stop.refusal())?;
        return Ok(Made::File(StatusCode::ACCEPTED, making(patient, promised.id, promised.entries)));
    }
    let (id, summary) = site.spool().make(&caller.subject, request).await.map_err(|stop| stop.refusal())?;
    drop(place);
    let made = json!({
        "id": id,
        "url": url(patient, id),
        "entries": summary.entries,
        "channels": summary.channels,
    });
    Ok(Made::File(StatusCode::CREATED, made))
}

fn url(patient: PatientId, id: ThingId) -> String {
    format!("/v1/patients/{patient}/exports/{id}")
}

/// How far one is that is not made yet.
fn making(patient: PatientId, id: ThingId, (done, total): (u64, u64)) -> Value {
    json!({ "id": id, "url": url(patient, id), "state": "making", "entries_done": done, "entries_total": total })
}

/// `GET` of one: its bytes, a folder as an archive; or how far it is.
pub async fn fetch(
    State(site): State<Site>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path((patient, export)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response<Body> {
    match fetched(&site, peer, &patient, &export, &headers).await {
        Ok(Ok(fetched)) => stream_of(*fetched),
        Ok(Err(making)) => {
            let mut response = answer(StatusCode::ACCEPTED, &making);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            response
        }
        Err(refusal) => problem(&refusal),
    }
}

async fn fetched(
    site: &Site,
    peer: SocketAddr,
    patient: &str,
    export: &str,
    headers: &HeaderMap,
) -> Result<Result<Box<Fetched>, Value>, Refusal> {
    let caller = caller(site, peer, headers).await?;
    let patient: PatientId = patient.parse().map_err(|_| Refusal::not_found())?;
    let export: ThingId = export.parse().map_err(|_| Refusal::not_found())?;
    match site.spool().fetch(&caller.subject, patient, export).await.map_err(|stop| stop.refusal())? {
        Waiting::Made(fetched) => Ok(Ok(fetched)),
        Waiting::Making(done, total) => Ok(Err(making(patient, export, (done, total)))),
    }
}

fn stream_of(fetched: Fetched) -> Response<Body> {
    let disposition = format!("attachment; filename=\"{}\"", fetched.name);
    let media_type = fetched.media_type();
    let content = stream::try_unfold(fetched, |mut fetched| async move {
        match fetched.next().await {
            Ok(chunk) => Ok(chunk.map(|chunk| (Bytes::from(chunk), fetched))),
            Err(_) => Err(io::Error::other("internal")),
        }
    });
    let mut response = sandboxed(Body::from_stream(content), media_type);
    let disposition = HeaderValue::from_str(&disposition).unwrap_or(HeaderValue::from_static("attachment"));
    response.headers_mut().insert(header::CONTENT_DISPOSITION, disposition);
    response
}

/// Content of a record, which no browser runs or keeps.
fn sandboxed(content: Body, media_type: &'static str) -> Response<Body> {
    let mut response = Response::new(content);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(SANDBOX));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// `GET` of all: as `export.list`.
pub async fn list(
    State(site): State<Site>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(patient): Path<String>,
    headers: HeaderMap,
) -> Response<Body> {
    asked(&site, peer, &headers, "export.list", &patient, None).await
}

/// What the query of `chart-status` may hold.
#[derive(Deserialize)]
pub struct OfTarget {
    target: Option<String>,
}

/// `GET` of `chart-status`: as `chart.status`.
pub async fn status(
    State(site): State<Site>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(patient): Path<String>,
    Query(of): Query<OfTarget>,
    headers: HeaderMap,
) -> Response<Body> {
    asked(&site, peer, &headers, "chart.status", &patient, of.target).await
}

/// Runs a reading op about a patient.
async fn asked(
    site: &Site,
    peer: SocketAddr,
    headers: &HeaderMap,
    op: &str,
    patient: &str,
    target: Option<String>,
) -> Response<Body> {
    let ran = async {
        let caller = caller(site, peer, headers).await?;
        let patient: PatientId = patient.parse().map_err(|_| Refusal::not_found())?;
        let mut data = Map::new();
        data.insert("patient".into(), patient.to_string().into());
        data.extend(target.map(|target| ("target".to_owned(), Value::from(target))));
        site.engine().run(caller.subject, op, data).await
    };
    match ran.await {
        Ok(found) => answer(StatusCode::OK, &found),
        Err(refusal) => problem(&refusal),
    }
}
