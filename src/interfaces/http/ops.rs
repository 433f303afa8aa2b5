//! `POST /v1/ops`: the operations of the socket, one a request. Answers the frame a socket would get, with `id:null`.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::caller::{body, signed_in};
use super::site::Site;
use crate::kernel::base::world::rfc3339;
use crate::kernel::base::{Code, Refusal};
use crate::kernel::wire;

/// Ops that only make sense on a connection that stays.
const OF_SOCKETS: [&str; 4] = ["login", "resume", "typing", "cancel"];

/// Longer than any commit that will still come: the outcome is then unknown, as the answer says.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Runs one op.
pub async fn ops(
    State(site): State<Site>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response<Body> {
    let (frame, status) = match run(&site, peer, request).await {
        Ok(answer) => (wire::reply(&Value::Null, &answer), StatusCode::OK),
        Err(refusal) => {
            let status = StatusCode::from_u16(refusal.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (wire::error(&Value::Null, &refusal), status)
        }
    };
    let mut response = Response::new(Body::from(wire::bytes(&frame)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

async fn run(site: &Site, peer: SocketAddr, request: Request) -> Result<Value, Refusal> {
    let (parts, content) = request.into_parts();
    let caller = signed_in(site, peer, &parts.headers).await?;
    let now = site.door().now();
    site.rates().take(caller.session, now)?;
    let bytes = body(content, site.engine().shared().config.limits.frame_bytes).await?;
    let text =
        std::str::from_utf8(&bytes).map_err(|_| Refusal::new(Code::BadFrame).detail("The body is not UTF-8."))?;
    let wire::Request { op, data, .. } = wire::parse_op(text)?;
    if OF_SOCKETS.contains(&op.as_str()) {
        let detail = "This operation is for sockets: see docs/protocol.md.";
        return Err(Refusal::new(Code::UnknownOp).field("op").detail(detail));
    }
    if op == "ping" {
        return Ok(json!({ "time": rfc3339(now) }));
    }
    // What a client asks by itself keeps nobody signed in.
    if site.engine().shared().registry.op(&op).is_none_or(|(_, op)| op.activity) {
        caller.state.touch(now);
    }
    let answer = tokio::time::timeout(ANSWER_WITHIN, site.door().run(caller.subject, &op, data)).await;
    answer.unwrap_or_else(|_| {
        let detail = "No answer in time; the outcome is unknown. Repeat with the same key.";
        Err(Refusal::new(Code::Busy).detail(detail).retry_after_ms(1000))
    })
}
