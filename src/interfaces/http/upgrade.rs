//! The WebSocket upgrade: what a request offers, and the switch itself.
//!
//! In two steps, because sign-in and the check of `Origin` come between them: [`read`] finds out what is offered or why it is
//! refused; [`Offer::accept`] answers 101 and gives the stream. Does not know accounts, origins or sessions.

use axum::body::Body;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{Error, ProtocolError};
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::websocket::{Socket, settings};
use crate::kernel::base::{Code, Refusal, Secret};

/// The one subprotocol.
pub const SUBPROTOCOL: &str = "carethread.v1";

/// Before a ticket in the list of subprotocols: browsers can send no other header.
const TICKET: &str = "ticket.";

/// Query parameters that would carry a credential into logs and histories.
const CREDENTIALS: [&str; 5] = ["token", "access_token", "ticket", "auth", "api_key"];

/// Why a request is not upgraded.
#[derive(Debug)]
pub struct Refused {
    /// The HTTP status; 426 where another version or no upgrade was asked for.
    pub status: StatusCode,
    /// What is said.
    pub refusal: Box<Refusal>,
    /// A header the status demands (RFC 9110 section 15.5.22, RFC 6455 section 4.4).
    pub header: Option<(HeaderName, HeaderValue)>,
}

impl Refused {
    fn bad(refusal: Refusal) -> Self {
        Self { status: StatusCode::BAD_REQUEST, refusal: Box::new(refusal), header: None }
    }

    /// The answer, RFC 9457 `application/problem+json` with member `code`.
    #[must_use]
    pub fn response(&self) -> Response<Body> {
        let mut problem = self.refusal.to_json();
        problem["type"] = "about:blank".into();
        problem["status"] = self.status.as_u16().into();
        let mut response = Response::new(Body::from(problem.to_string()));
        *response.status_mut() = self.status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some((name, value)) = &self.header {
            response.headers_mut().insert(name.clone(), value.clone());
        }
        response
    }
}

/// A request that can be upgraded.
pub struct Offer {
    response: Response<Body>,
    /// From subprotocol `ticket.T`. Not checked yet.
    pub ticket: Option<Secret<String>>,
}

impl Offer {
    /// The 101 answer, and the stream that is there once it has gone out. Spawn a task for the latter, then return the former.
    /// The client's messages and frames may have `frame_bytes`.
    pub fn accept(
        self,
        request: &mut Request<Body>,
        frame_bytes: usize,
    ) -> (Response<Body>, impl Future<Output = Result<Socket, hyper::Error>> + Send + 'static) {
        let upgraded = hyper::upgrade::on(request);
        let socket = async move {
            let stream = TokioIo::new(upgraded.await?);
            Ok(WebSocketStream::from_raw_socket(stream, Role::Server, Some(settings(frame_bytes))).await)
        };
        (self.response, socket)
    }
}

/// Reads what a request to the WebSocket route offers.
///
/// # Errors
/// [`Refused`] with 400 for a credential in the URL, a wrong key, or only unknown subprotocols (the answer lists `supported`);
/// with 426 when it asks for no upgrade or another version.
pub fn read(request: &Request<Body>) -> Result<Offer, Refused> {
    if request.uri().query().is_some_and(credential_in_query) {
        return Err(Refused::bad(credential_refusal()));
    }
    let mut response = create_response_with_body(request, Body::empty).map_err(|error| not_an_upgrade(&error))?;
    let choice = choose(request.headers())?;
    if choice.named {
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    }
    Ok(Offer { response, ticket: choice.ticket })
}

/// Whether a query string names a credential. Every route asks this first, before anything is logged.
#[must_use]
pub fn credential_in_query(query: &str) -> bool {
    query.split(['&', ';']).any(|pair| {
        let name = pair.split('=').next().unwrap_or_default();
        CREDENTIALS.iter().any(|credential| decoded(name).eq_ignore_ascii_case(credential.as_bytes()))
    })
}

/// What is said about a credential in the URL.
#[must_use]
pub fn credential_refusal() -> Refusal {
    Refusal::new(Code::Invalid).detail(
        "A credential in the URL ends up in logs. Send `Authorization: Bearer`, subprotocol `ticket.T`, or a first frame `login`.",
    )
}

/// Percent-decoding for a comparison: what does not decode stays as it is.
fn decoded(name: &str) -> Vec<u8> {
    let bytes = name.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digits = bytes.get(at + 1..at + 3).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(plain) if byte == b'%' => {
                out.push(plain);
                at += 3;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}

/// What the list of subprotocols comes to.
struct Choice {
    /// The answer names `carethread.v1`; it may not when the client offered nothing.
    named: bool,
    ticket: Option<Secret<String>>,
}

fn choose(headers: &HeaderMap) -> Result<Choice, Refused> {
    let mut choice = Choice { named: false, ticket: None };
    let mut unknown = false;
    for value in headers.get_all(header::SEC_WEBSOCKET_PROTOCOL) {
        let list = value.to_str().map_err(|_| unsupported("The list of subprotocols is not plain ASCII."))?;
        for offered in list.split(',').map(str::trim).filter(|offered| !offered.is_empty()) {
            match offered.strip_prefix(TICKET) {
                Some(_) if choice.ticket.is_some() => return Err(unsupported("One ticket at a time.")),
                Some("") => return Err(unsupported("The ticket is empty.")),
                Some(ticket) => choice.ticket = Some(Secret::new(ticket.to_owned())),
                None if offered == SUBPROTOCOL => choice.named = true,
                None => unknown = true,
            }
        }
    }
    // A ticket is no protocol: a browser that is answered with none of those it offered fails the connection.
    if (unknown || choice.ticket.is_some()) && !choice.named {
        return Err(unsupported("Offer subprotocol `carethread.v1`, or none."));
    }
    Ok(choice)
}

fn unsupported(detail: &str) -> Refused {
    Refused::bad(Refusal::new(Code::Invalid).detail(detail).with("supported", json!([SUBPROTOCOL])))
}

fn not_an_upgrade(error: &Error) -> Refused {
    let upgrade = |name: HeaderName, value: &'static str, detail: &str| Refused {
        status: StatusCode::UPGRADE_REQUIRED,
        refusal: Box::new(Refusal::new(Code::Invalid).detail(detail)),
        header: Some((name, HeaderValue::from_static(value))),
    };
    match error {
        Error::Protocol(ProtocolError::MissingSecWebSocketVersionHeader) => {
            upgrade(header::SEC_WEBSOCKET_VERSION, "13", "WebSocket version 13 is spoken here (RFC 6455).")
        }
        Error::Protocol(ProtocolError::MissingSecWebSocketKey | ProtocolError::InvalidSecWebSocketKey) => {
            Refused::bad(Refusal::new(Code::Invalid).detail("Header Sec-WebSocket-Key is missing or wrong."))
        }
        _ => upgrade(header::UPGRADE, "websocket", "This route is a WebSocket over HTTP/1.1 (RFC 6455)."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str, change: &[(&'static str, Option<&str>)]) -> Request<Body> {
        let mut headers = HeaderMap::new();
        let usual = [
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "WebSocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        for (name, value) in usual {
            headers.insert(name, HeaderValue::from_static(value));
        }
        for (name, value) in change {
            match value {
                Some(value) if *name == "sec-websocket-protocol" => {
                    headers.append(*name, HeaderValue::from_str(value).unwrap());
                }
                Some(value) => {
                    headers.insert(*name, HeaderValue::from_str(value).unwrap());
                }
                None => {
                    headers.remove(*name);
                }
            }
        }
        let mut request = Request::get(uri).body(Body::empty()).unwrap();
        *request.headers_mut() = headers;
        request
    }

    fn status(uri: &str, change: &[(&'static str, Option<&str>)]) -> u16 {
        match read(&request(uri, change)) {
            Ok(offer) => offer.response.status().as_u16(),
            Err(refused) => refused.status.as_u16(),
        }
    }

    #[test]
    fn the_subprotocol_is_chosen_as_the_contract_says() {
        // Offered lists, status, protocol answered, ticket.
        type Row<'a> = (&'a [&'a str], u16, Option<&'a str>, Option<&'a str>);
        let table: [Row<'_>; 12] = [
            (&[], 101, None, None),
            (&[""], 101, None, None),
            (&["carethread.v1"], 101, Some(SUBPROTOCOL), None),
            (&["carethread.v2, carethread.v1"], 101, Some(SUBPROTOCOL), None),
            (&["carethread.v2", "carethread.v1"], 101, Some(SUBPROTOCOL), None),
            (&["carethread.v1,ticket.abc"], 101, Some(SUBPROTOCOL), Some("abc")),
            (&["ticket.a.b", "carethread.v1"], 101, Some(SUBPROTOCOL), Some("a.b")),
            (&["carethread.v2"], 400, None, None),
            (&["CARETHREAD.V1"], 400, None, None),
            (&["ticket.abc"], 400, None, None),
            (&["carethread.v1, ticket."], 400, None, None),
            (&["carethread.v1, ticket.a, ticket.b"], 400, None, None),
        ];
        for (offered, status, answered, ticket) in table {
            let change: Vec<_> = offered.iter().map(|list| ("sec-websocket-protocol", Some(*list))).collect();
            match read(&request("/v1/ws", &change)) {
                Ok(offer) => {
                    assert_eq!(offer.response.status(), status, "{offered:?}");
                    let header = offer.response.headers().get(header::SEC_WEBSOCKET_PROTOCOL);
                    assert_eq!(header.map(|value| value.to_str().unwrap()), answered, "{offered:?}");
                    assert_eq!(offer.ticket.as_ref().map(|ticket| ticket.expose().as_str()), ticket, "{offered:?}");
                }
                Err(refused) => {
                    assert_eq!(refused.status, status, "{offered:?}");
                    assert_eq!(refused.refusal.more["supported"], json!(["carethread.v1"]), "{offered:?}");
                }
            }
        }
    }

    #[test]
    fn a_credential_in_the_url_is_refused_however_it_is_spelt() {
        for query in ["token=x", "a=1&access_token=x", "TICKET=x", "a;auth=x", "api%5Fkey=x", "%74oken", "token"] {
            assert_eq!(status(&format!("/v1/ws?{query}"), &[]), 400, "{query}");
        }
        for query in ["", "a=token", "tokens=1", "page=2&limit=%zz", "%", "a=%7"] {
            assert_eq!(status(&format!("/v1/ws?{query}"), &[]), 101, "{query}");
        }
    }

    #[test]
    fn what_is_no_upgrade_is_told_which_one_is_wanted() {
        assert_eq!(status("/v1/ws", &[("upgrade", None)]), 426);
        assert_eq!(status("/v1/ws", &[("connection", Some("close"))]), 426);
        assert_eq!(status("/v1/ws", &[("sec-websocket-key", None)]), 400);
        assert_eq!(status("/v1/ws", &[("sec-websocket-key", Some("short"))]), 400);
        let refused = read(&request("/v1/ws", &[("sec-websocket-version", Some("8"))])).err().unwrap();
        let response = refused.response();
        assert_eq!(response.status(), 426);
        assert_eq!(response.headers()["sec-websocket-version"], "13");
        assert_eq!(response.headers()["content-type"], "application/problem+json");
    }
}
