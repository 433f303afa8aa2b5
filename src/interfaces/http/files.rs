//! `/v1/channels/{channel}/files`: files in and out, as streams. What is in them is never run: every file is an attachment, of a type
//! that no browser shows, in a sandbox.

use std::io;
use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::{ConnectInfo, Path, Request, State};
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::header::{self, HeaderMap, HeaderValue};
use http::{Response, StatusCode};
use tokio_util::io::StreamReader;

use super::caller::signed_in;
use super::problem::{json, problem};
use super::site::Site;
use crate::features::files::{self, Opened, Stored};
use crate::kernel::base::{ChannelId, Code, FileId, Refusal};

/// Read and thrown away of a file that is refused, so that the peer hears the answer and not a reset.
const DRAINED_BYTES_MAX: usize = 4 << 20;
/// What a browser that shows a file all the same lets it do: nothing.
const SANDBOX: &str = "sandbox; default-src 'none'; frame-ancestors 'none'";

/// `POST`: one body is one file.
pub async fn upload(
    State(site): State<Site>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(channel): Path<String>,
    request: Request,
) -> Response<Body> {
    match take(&site, peer, &channel, request).await {
        Ok(stored) => {
            json(StatusCode::CREATED, &serde_json::to_value(stored).expect("ids, texts and a number are JSON"))
        }
        Err(refusal) => problem(&refusal),
    }
}

async fn take(site: &Site, peer: SocketAddr, channel: &str, request: Request) -> Result<Stored, Refusal> {
    let (parts, body) = request.into_parts();
    let caller = signed_in(site, peer, &parts.headers).await?;
    let now = site.door().now();
    site.rates().take(caller.session, now)?;
    let channel: ChannelId = channel.parse().map_err(|_| Refusal::not_found())?;
    let name = name(&parts.headers)?;
    let declared = parts.headers.get(header::CONTENT_TYPE).and_then(|class| class.to_str().ok());
    let _place = site.uploads().try_acquire().map_err(|_| {
        Refusal::new(Code::Busy).detail("Other files are on their way. Try again.").retry_after_ms(2000)
    })?;
    caller.state.touch(now);
    let mut content = StreamReader::new(body.into_data_stream().map_err(io::Error::other));
    let stored = files::store(site.engine(), &caller.subject, channel, &name, declared, &mut content).await;
    if stored.is_err() {
        drain(content.into_inner()).await;
    }
    stored
}

/// Reads on for a while, or a peer that is still sending would see a reset.
async fn drain(mut rest: impl stream::Stream<Item = io::Result<Bytes>> + Unpin) {
    let mut seen = 0;
    while let Some(Ok(bytes)) = rest.next().await {
        seen += bytes.len();
        if seen > DRAINED_BYTES_MAX {
            break;
        }
    }
}

/// `X-File-Name`, percent-encoded UTF-8 (RFC 3986 section 2.1).
fn name(headers: &HeaderMap) -> Result<String, Refusal> {
    let wrong = || Refusal::invalid("X-File-Name", "This header is the file's name, UTF-8, percent-encoded.");
    let sent = headers.get("x-file-name").ok_or_else(wrong)?.as_bytes();
    let (mut bytes, mut at) = (Vec::with_capacity(sent.len()), 0);
    while let Some(byte) = sent.get(at) {
        if *byte == b'%' {
            let digits = sent.get(at + 1..at + 3).and_then(|digits| std::str::from_utf8(digits).ok());
            let digits = digits.filter(|digits| digits.bytes().all(|c| c.is_ascii_hexdigit())).ok_or_else(wrong)?;
            bytes.push(u8::from_str_radix(digits, 16).map_err(|_| wrong())?);
            at += 3;
        } else {
            bytes.push(*byte);
            at += 1;
        }
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

/// `GET`
pub async fn download(
    State(site): State<Site>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path((channel, file)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response<Body> {
    match find(&site, peer, &channel, &file, &headers).await {
        Ok(opened) => answer(opened),
        Err(refusal) => problem(&refusal),
    }
}

async fn find(
    site: &Site,
    peer: SocketAddr,
    channel: &str,
    file: &str,
    headers: &HeaderMap,
) -> Result<Opened, Refusal> {
    let caller = signed_in(site, peer, headers).await?;
    let now = site.door().now();
    site.rates().take(caller.session, now)?;
    caller.state.touch(now);
    let channel: ChannelId = channel.parse().map_err(|_| Refusal::not_found())?;
    let file: FileId = file.parse().map_err(|_| Refusal::not_found())?;
    files::open(site.engine(), &caller.subject, channel, file).await
}

fn answer(opened: Opened) -> Response<Body> {
    let disposition = format!("attachment; filename*=UTF-8''{}", encoded(&opened.name));
    let (bytes, media_type) = (opened.bytes(), opened.media_type.clone());
    // A chunk that may not be read any more, or does not open, cuts the answer off: it is shorter than its head says.
    let content = stream::try_unfold(opened, |mut opened| async move {
        match opened.next().await {
            Ok(chunk) => Ok(chunk.map(|chunk| (Bytes::from(chunk), opened))),
            Err(refusal) => Err(io::Error::other(refusal.code.text())),
        }
    });
    let mut response = Response::new(Body::from_stream(content));
    let headers = response.headers_mut();
    let text = |text: &str| HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("attachment"));
    headers.insert(header::CONTENT_DISPOSITION, text(&disposition));
    headers.insert(header::CONTENT_TYPE, text(&media_type));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(SANDBOX));
    response
}

/// As RFC 8187 section 3.2.1 writes a value.
fn encoded(name: &str) -> String {
    use std::fmt::Write as _;
    name.bytes().fold(String::with_capacity(name.len()), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_comes_back_as_it_was_sent() {
        let sent = |value: &'static str| {
            name(&HeaderMap::from_iter([(
                header::HeaderName::from_static("x-file-name"),
                HeaderValue::from_static(value),
            )]))
        };
        for name in ["wound.jpg", "Müller 50%.pdf", "日本.txt"] {
            assert_eq!(sent(Box::leak(encoded(name).into_boxed_str())).unwrap(), name);
        }
        assert_eq!(encoded("a b\"\r\n"), "a%20b%22%0D%0A");
        for wrong in ["%", "%4", "%zz", "%+1", "%ff"] {
            assert_eq!(sent(wrong).unwrap_err().code, Code::Invalid, "{wrong}");
        }
        assert!(name(&HeaderMap::new()).is_err());
    }
}
