//! `POST /v1/intake/email`: a mail (RFC 5322) brought into a channel by whoever is signed in. Answers as `note.log`.

use std::collections::HashMap;
use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::{ConnectInfo, Query, Request, State};
use http::{Response, StatusCode};
use serde_json::Value;

use super::caller::{body, signed_in};
use super::problem::{json, problem};
use super::site::Site;
use crate::features::intake;
use crate::kernel::base::{ChannelId, Code, ItemId, Refusal};

/// Takes one mail.
pub async fn email(
    State(site): State<Site>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Query(query): Query<HashMap<String, String>>,
    request: Request,
) -> Response<Body> {
    match run(&site, peer, &query, request).await {
        Ok(reply) => json(StatusCode::CREATED, &reply),
        Err(refusal) => problem(&refusal),
    }
}

async fn run(
    site: &Site,
    peer: SocketAddr,
    query: &HashMap<String, String>,
    request: Request,
) -> Result<Value, Refusal> {
    let (parts, content) = request.into_parts();
    let caller = signed_in(site, peer, &parts.headers).await?;
    let now = site.door().now();
    site.rates().take(caller.session, now)?;
    let channel: ChannelId = id(query, "channel")?.ok_or_else(|| Refusal::invalid("channel", "Name the channel."))?;
    let item: Option<ItemId> = id(query, "item")?;
    let _place = site
        .imports()
        .try_acquire()
        .map_err(|_| Refusal::new(Code::Busy).detail("Other mails come in. Try again.").retry_after_ms(1000))?;
    let raw = body(content, intake::RAW_BYTES_MAX).await?;
    caller.state.touch(now);
    intake::note(site.engine(), caller.subject.clone(), &raw, channel, item).await
}

fn id<T: std::str::FromStr>(query: &HashMap<String, String>, field: &'static str) -> Result<Option<T>, Refusal> {
    let read = |text: &String| text.parse().map_err(|_| Refusal::invalid(field, "This field is an id."));
    query.get(field).map(read).transpose()
}
