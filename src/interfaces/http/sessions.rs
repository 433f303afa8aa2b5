//! Sign-in over HTTP: `POST /v1/sessions`, `DELETE /v1/sessions/{id|current}`, `POST /v1/ws-tickets`.

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::{ConnectInfo, Path, Request, State};
use http::header::{self, HeaderMap, HeaderValue};
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::caller::{COOKIE, body, check_origin, signed_in};
use super::origin::client;
use super::problem::{json, problem};
use super::site::Site;
use crate::kernel::base::world::rfc3339;
use crate::kernel::base::{Code, Refusal, Secret};
use crate::kernel::crypto::base64;
use crate::kernel::engine::Data;
use crate::kernel::wire::parse_value;

/// Handle, password and code, with room for escapes.
const BODY_BYTES_MAX: usize = 4096;

/// Attributes of the cookie beside its value.
const ATTRIBUTES: &str = "Path=/; Secure; HttpOnly; SameSite=Strict";

/// `POST /v1/sessions` {handle, password, code?}
pub async fn open(
    State(site): State<Site>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response<Body> {
    sign_in(&site, peer, request).await.unwrap_or_else(|refusal| problem(&refusal))
}

async fn sign_in(site: &Site, peer: SocketAddr, request: Request) -> Result<Response<Body>, Refusal> {
    let (parts, content) = request.into_parts();
    check_origin(site, &parts.headers)?;
    let address = client(peer, &parts.headers, site.trusted_proxies());
    let bytes = body(content, BODY_BYTES_MAX).await?;
    let said = std::str::from_utf8(&bytes).ok().and_then(|text| parse_value(text).ok());
    let Some(Value::Object(mut said)) = said else {
        return Err(Refusal::new(Code::BadFrame).detail("Send a JSON object with `handle` and `password`."));
    };
    let handle = required(&said, "handle")?.to_owned();
    let code = said.get("code").and_then(Value::as_str).map(str::to_owned);
    required(&said, "password")?;
    let Some(Value::String(password)) = said.remove("password") else {
        return Err(Refusal::invalid("password", "This field is a string."));
    };
    let signed_in =
        site.door().sign_in_password(&handle, Secret::new(password), code.as_deref(), Some(address)).await?;
    let token = signed_in.token.ok_or_else(|| Refusal::new(Code::Internal))?;
    let outbox_key = signed_in.outbox_key.ok_or_else(|| Refusal::new(Code::Internal))?;
    let answer = json!({
        "token": token.expose(), "outbox_key": base64(&outbox_key[..]), "user": signed_in.subject.user, "session": signed_in.session,
        "expires_at": rfc3339(signed_in.expires_at),
    });
    let mut response = json(StatusCode::CREATED, &answer);
    set_cookie(&mut response, &format!("{COOKIE}={}; {ATTRIBUTES}", token.expose()));
    Ok(response)
}

fn required<'a>(said: &'a Data, field: &'static str) -> Result<&'a str, Refusal> {
    said.get(field).and_then(Value::as_str).ok_or_else(|| Refusal::invalid(field, "This field is a required string."))
}

fn set_cookie(response: &mut Response<Body>, cookie: &str) {
    if let Ok(mut value) = HeaderValue::from_str(cookie) {
        value.set_sensitive(true);
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
}

/// `DELETE /v1/sessions/{id|current}`
pub async fn end(
    State(site): State<Site>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(which): Path<String>,
    headers: HeaderMap,
) -> Response<Body> {
    let ended = async {
        let caller = signed_in(&site, peer, &headers).await?;
        let now = site.door().now();
        site.rates().take(caller.session, now)?;
        caller.state.touch(now);
        let own = which == "current" || which == caller.session.to_string();
        let data = Data::from_iter([("session".to_owned(), Value::from(which))]);
        site.door().run(caller.subject, "session.end", data).await?;
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        if own {
            set_cookie(&mut response, &format!("{COOKIE}=; Max-Age=0; {ATTRIBUTES}"));
        }
        Ok(response)
    };
    ended.await.unwrap_or_else(|refusal: Refusal| problem(&refusal))
}

/// `POST /v1/ws-tickets`: what a browser offers as subprotocol `ticket.T`.
pub async fn ticket(
    State(site): State<Site>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Response<Body> {
    let issued = async {
        let caller = signed_in(&site, peer, &headers).await?;
        site.rates().take(caller.session, site.door().now())?;
        let (ticket, lapses) = site.door().new_ticket(caller.session)?;
        Ok(json(StatusCode::CREATED, &json!({ "ticket": ticket.expose(), "expires_at": rfc3339(lapses) })))
    };
    issued.await.unwrap_or_else(|refusal: Refusal| problem(&refusal))
}
