//! Server-Sent Events: `GET /v1/events`, the events of a socket where proxies block WebSocket (docs/protocol.md).
//! Does not know: what an event says, who may read it. A stream is a live session without commands: it counts among the sockets of its
//! person, and whatever ends a session ends it.

mod cursors;
mod stream;

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{ConnectInfo, Query, State};
use axum::routing::get;
use http::Response;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::{Value, json};

use self::stream::Stream;
use super::http::caller;
use super::http::origin::{Origin, client};
use super::http::problem::problem;
use super::socket::Sockets;
use crate::kernel::base::{ChannelId, Code, Refusal};
use crate::kernel::engine::Data;
use crate::kernel::live::{Session, channel_of};

/// Where a client goes on (HTML Standard, section 9.2.4).
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The route `/v1/events`. Merge it under the guard of the other routes.
pub fn routes(sockets: Sockets) -> Router {
    Router::new().route("/v1/events", get(events)).with_state(sockets)
}

/// What may stand in the query: ids and numbers, never a credential.
#[derive(Deserialize)]
struct Asked {
    /// As `Last-Event-ID`, which an `EventSource` cannot set the first time.
    cursors: Option<String>,
    /// Channels, divided by commas.
    follow: Option<String>,
}

/// `GET /v1/events`
async fn events(
    State(sockets): State<Sockets>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    asked: Result<Query<Asked>, QueryRejection>,
    headers: HeaderMap,
) -> Response<Body> {
    match open(&sockets, peer, asked.ok().map(|Query(asked)| asked), &headers).await {
        Ok(stream) => answer(stream),
        Err(refusal) => problem(&refusal),
    }
}

async fn open(
    sockets: &Sockets,
    peer: SocketAddr,
    asked: Option<Asked>,
    headers: &HeaderMap,
) -> Result<Stream, Refusal> {
    let parts = sockets.parts();
    let origin = sockets.parts().origins.allow(headers);
    if origin == Origin::Foreign {
        return Err(Refusal::forbidden("This origin is not on the list. See [http] origins in docs/operations.md."));
    }
    if parts.draining.is_cancelled() {
        return Err(Refusal::new(Code::Busy).detail("The server is going down. Come back.").retry_after_ms(1000));
    }
    let asked = asked.ok_or_else(|| Refusal::invalid("cursors", "The query is `cursors` and `follow`, each once."))?;
    let (resume, named) = resumption(headers, &asked)?;
    let address = client(peer, headers, &parts.trusted_proxies);
    // Held until the credential is looked at.
    let _guard = sockets.addresses().enter(address).ok_or_else(|| {
        let refusal = Refusal::new(Code::RateLimited).detail("Too many connections of this address wait for sign-in.");
        refusal.retry_after_ms(1000)
    })?;
    let token = caller::token(headers, origin).ok_or_else(|| {
        let detail = "Send `Authorization: Bearer`, or the session cookie from a page of ours.";
        Refusal::new(Code::Unauthenticated).detail(detail)
    })?;
    let signed_in = parts.door.bearer(token, Some(address)).await?;
    let (engine, state) = (parts.door.engine(), signed_in.state.clone());
    let mut live = Session::open(engine, &parts.hub, signed_in.session, state, Some(address))?;
    live.resume(Value::Null, &resume)?;
    Ok(Stream::new(sockets.clone(), live, &named))
}

/// The `resume` that a request stands for, and the channels its cursors name. A client that comes back repeats its first address: where it is
/// by now says the header.
fn resumption(headers: &HeaderMap, asked: &Asked) -> Result<(Data, Vec<ChannelId>), Refusal> {
    let wrong = || Refusal::invalid("cursors", "Cursors are letters and digits.");
    let header = headers.get(LAST_EVENT_ID).map(|value| value.to_str().map_err(|_| wrong())).transpose()?;
    let text = header.filter(|text| !text.is_empty()).or(asked.cursors.as_deref());
    let mut resume = Data::new();
    let mut named = Vec::new();
    if let Some(text) = text {
        let cursors = cursors::parse(text)?;
        named.extend(cursors.keys().filter_map(|channel| channel_of(channel)));
        resume.insert("cursors".into(), cursors.into());
    }
    if let Some(follow) = &asked.follow {
        let channels: Vec<&str> = follow.split(',').map(str::trim).filter(|one| !one.is_empty()).collect();
        resume.insert("follow".into(), json!(channels));
    }
    Ok((resume, named))
}

fn answer(stream: Stream) -> Response<Body> {
    let mut response = Response::new(stream.begin());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // A proxy that collects an answer before it hands it on would hold every event back.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}
